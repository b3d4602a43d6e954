"""Float checkpoints: a task's network is trained in float once, and kept."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from env.errors import TaskError
from env.tasks.given_module import without_parametrizations
from env.tasks.own_function import source_of
from env.tasks.task import Task
from quant.errors import DataError
from quant.network import QuantizedNetwork, prepare
from quant.objective.loss import CROSS_ENTROPY
from quant.records.atomic_file import PART
from quant.records.disk import probe, remove_leftovers, what_helps
from quant.records.progress import Progress
from quant.records.regular_file import check_regular
from quant.records.state_digest import state_digest
from quant.records.tensor_file import write_tensors
from quant.retraining.float_training import TrainConfig, train_float
from quant.tensors.devices import CPU
from quant.tensors.moving import placed

_CHECKPOINT_VERSION = 1
KEY = "key"
_DIGEST = "digest"
_NOT_THE_USERS = ("torch", __name__.partition(".")[0])
"""Packages whose classes change with a version alone."""

Check = Callable[[QuantizedNetwork], None]
"""Raises where a captured network cannot be worked with."""


def checkpoint_folder() -> Path:
    """Return the folder of float checkpoints, made when one is kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bitalloc" / "checkpoints"


def checkpoint_path(task: Task, seed: int) -> Path:
    """Return where the checkpoint of a task and seed is kept."""
    digest = hashlib.sha256(_key(task, seed).encode()).hexdigest()[:16]
    network = re.sub(r"[^A-Za-z0-9.-]+", "-", task.network)
    return checkpoint_folder() / f"{task.name}-{network}-s{seed}-{digest}.safetensors"


def float_module(
    task: Task,
    seed: int,
    *,
    device: torch.device = CPU,
    check: Check | None = None,
    progress: Progress | None = None,
) -> nn.Module:
    """Return the trained float network on the CPU, from its checkpoint where there is one.

    Args:
        task: What to train.
        seed: Seeds the initial weights and the order of the images.
        device: What it is trained on, where it is.
        check: Called with the captured network before it is trained, where it is.
        progress: Called with (steps done, steps in all) while it trains.

    Raises:
        DataError: the checkpoint is truncated or damaged, or cannot be written.
        CaptureError: the network has operators with no integer form, and is not trained.
        TaskError: it has nothing to train.
    """
    torch.manual_seed(seed)
    module = task.make_module()
    if task.weights is not None:
        module.load_state_dict(task.weights.state, strict=False)
    elif task.recipe.epochs:
        _train(task, module, seed, device, check, progress)
    return without_parametrizations(module)


def _train(
    task: Task,
    module: nn.Module,
    seed: int,
    device: torch.device,
    check: Check | None,
    progress: Progress | None,
) -> None:
    """Train a network in place, or take the weights of its checkpoint."""
    path, key = checkpoint_path(task, seed), _key(task, seed)
    if path.exists() and (state := _read(path, key)) is not None:
        module.load_state_dict(state)
        return
    parameters = list(module.parameters())
    if not parameters:
        raise TaskError(
            f"expected a network to train, found {task.network} without parameters",
            "keep its layers in a ModuleList or ModuleDict: PyTorch sees none in plain ones",
        )
    if not any(value.requires_grad for value in parameters):
        raise TaskError(
            f"expected a network to train, found every parameter of {task.network} frozen",
            "take it as it is with --task.epochs 0, or unfreeze what is to be trained",
        )
    _check_captured(task, check)
    _check_kept(path)
    with placed(module, device):
        train_float(
            module,
            task.train.images,
            task.train.labels,
            task.recipe,
            seed=seed,
            loss=task.objective.loss,
            augment=task.augment,
            progress=progress,
        )
    _write(path, module.state_dict(), key)


def _check_captured(task: Task, check: Check | None) -> None:
    """Refuse a network that cannot be quantized before it is trained, not afterwards."""
    with torch.random.fork_rng(devices=[]):
        network = prepare(without_parametrizations(task.make_module()), task.example)
        if check is not None:
            check(network)


def _key(task: Task, seed: int) -> str:
    """Return everything that decides the trained weights, compared whole on a hit."""
    module = task.make_module()
    shapes = {name: list(value.shape) for name, value in module.state_dict().items()}
    return json.dumps(
        {
            "version": _CHECKPOINT_VERSION,
            "task": task.name,
            "data": task.train.digest,
            "network": task.network,
            "code": hashlib.sha256(_code(module).encode()).hexdigest(),
            "recipe": recipe_key(task.recipe) | _loss_key(task),
            "augment": getattr(task.augment, "__name__", None),
            "seed": seed,
            "shapes": shapes,
            "torch": torch.__version__,
        },
        sort_keys=True,
    )


def recipe_key(recipe: TrainConfig) -> dict[str, Any]:
    """Return what of a recipe decides the weights; of what came later, what is not as before."""
    later = {"optimizer": "sgd", "warm_up": 0.0}
    return {k: v for k, v in asdict(recipe).items() if k not in later or v != later[k]}


def _loss_key(task: Task) -> dict[str, str]:
    """Return what of the loss decides the weights: nothing of the one that there always was."""
    loss = task.objective.loss
    return {} if loss.name == CROSS_ENTROPY.name else {"loss": loss.key}


def _code(module: nn.Module) -> str:
    """Return what a network is made of: a user may change it and leave its shapes."""
    kinds = dict.fromkeys(map(type, module.modules()))
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in _NOT_THE_USERS]
    parts = [source_of(kind) for kind in own if kind is not type(module)]
    return "\n".join([repr(module), source_of(type(module)), *parts])


def _read(path: Path, key: str) -> dict[str, torch.Tensor] | None:
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get(KEY) != key:
                return None
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, MemoryError) as error:
        raise _damaged(path, str(error)) from error
    if _DIGEST in metadata and metadata[_DIGEST] != state_digest(state):  # older ones have none
        raise _damaged(path, "its weights are not those that were written")
    return state


def _damaged(path: Path, why: str) -> DataError:
    return DataError(
        f"expected a float checkpoint at {path}, found a damaged file ({why})",
        f"delete it, and it is trained again: rm {quote(str(path))}",
    )


def _write(path: Path, state: dict[str, torch.Tensor], key: str) -> None:
    # Weights that two layers share are kept twice: safetensors takes none that share memory.
    apart = {k: v.clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one step, so that racing runs agree.
        write_tensors(path, apart, metadata={KEY: key, _DIGEST: state_digest(apart)})
    except (SafetensorError, OSError) as error:
        raise _cannot_keep(path, error) from error


def _check_kept(path: Path) -> None:
    """Refuse a folder that cannot take the checkpoint before hours of training are spent on it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, f"{PART}*")
        refused = probe(path.parent)
    except OSError as error:
        refused = error
    if refused is not None:
        raise _cannot_keep(path, refused) from None


def _cannot_keep(path: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or error
    return DataError(
        f"cannot write the float checkpoint {path}: {reason}",
        what_helps(error, "the variable XDG_CACHE_HOME"),
    )
