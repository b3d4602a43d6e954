"""Plain training: the float networks, by a loop that is nothing like the product's, and kept."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from env.tasks.checkpoint import checkpoint_folder
from env.tasks.weights.fit import load_weights
from quant.records.tensor_file import write_tensors
from tools.retraining_table.data import Data

_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainRecipe:
    """How a float network is trained; the rate falls to zero along a cosine."""

    optimizer: Literal["sgd", "adam"]
    """`sgd` with momentum 0.9 and weight decay 5e-4."""
    learning_rate: float
    epochs: int
    batch_size: int = 128


def trained(
    name: str, make: Callable[[], nn.Module], recipe: PlainRecipe, data: Callable[[], Data]
) -> nn.Module:
    """Return a trained network, from the cache of float checkpoints where it is kept.

    Args:
        name: What its file is called.
        make: Makes the network.
        recipe: How it is trained.
        data: Returns the data; called only where there is something to train.
    """
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        module = make()
    made_of = f"{module!r} {recipe!r} {data.__name__} {torch.__version__}"
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    path = checkpoint_folder() / f"retraining-table-{name}-{digest}.safetensors"
    if path.exists():
        load_weights(module, path)
        return module.eval()
    train_plainly(module, *data()["train"], recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, module.state_dict())
    return module.eval()


def train_plainly(
    module: nn.Module, images: torch.Tensor, labels: torch.Tensor, recipe: PlainRecipe
) -> None:
    """Train a network in place.

    Args:
        module: The network.
        images: float32 `[N, ...]`.
        labels: int64 `[N]`.
        recipe: Optimizer, rate and length.
    """
    optimizer: torch.optim.Optimizer = torch.optim.Adam(module.parameters(), recipe.learning_rate)
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            module.parameters(), recipe.learning_rate, momentum=0.9, weight_decay=5e-4
        )
    steps = recipe.epochs * math.ceil(len(images) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(_SEED)
    module.train()
    for _ in range(recipe.epochs):
        for picked in torch.randperm(len(images), generator=generator).split(recipe.batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(module(images[picked]), labels[picked]).backward()
            optimizer.step()
            schedule.step()
    module.eval()
