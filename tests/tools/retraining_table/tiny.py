"""A subject of the table that takes no time: a small network for the handwritten digits."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from tools.retraining_table.data import Data
from tools.retraining_table.plain_training import PlainRecipe, train_plainly
from tools.retraining_table.subjects import Subject

SUBJECT = Subject(
    name="raw",
    title="digits",
    model=f"{__name__}:model",
    data=f"{__name__}:data",
    rival_batch=32,
)
RECIPE = PlainRecipe(optimizer="adam", learning_rate=1e-2, epochs=5)


def data() -> Data:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] - 8
    labels = torch.tensor(digits.target, dtype=torch.int64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = {"train": order[:1200], "search": order[1200:1500], "test": order[1500:]}
    return {part: (images[picked], labels[picked]) for part, picked in parts.items()}


def make() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))


def model() -> nn.Module:
    torch.manual_seed(0)
    module = make()
    train_plainly(module, *data()["train"], RECIPE)
    return module
