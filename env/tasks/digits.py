"""Digits: scikit-learn's 8x8 handwritten digits, the task that works offline in seconds.

Near its ceiling (a logistic regression reaches 97 %): for demonstrations and tests, never for
claims about accuracy.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from env.tasks.task import Split, Task
from quant.finetune import TrainConfig

__all__ = ["DigitsNet", "digits_task"]

SPLIT_SEED = 2026
HELD_OUT = 360
"""Images of the search split, and as many of the test split; 1,077 are left for training."""
LARGEST_VALUE = 16.0


class DigitsNet(nn.Module):
    """Four 3x3 convolutions and a linear layer: 2.7 million MACs, nearly all in convolutions."""

    def __init__(self, channels: tuple[int, int, int, int] = (32, 64, 64, 96)) -> None:
        """Make the layers; the third convolution halves the image."""
        super().__init__()
        first, second, third, fourth = channels
        self.conv1 = _block(1, first)
        self.conv2 = _block(first, second)
        self.conv3 = _block(second, third, stride=2)
        self.conv4 = _block(third, fourth)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(fourth, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `[N, 10]` of images `[N, 1, 8, 8]`."""
        x = self.conv4(self.conv3(self.conv2(self.conv1(x))))
        logits: torch.Tensor = self.fc(torch.flatten(self.pool(x), 1))
        return logits


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def digits_task() -> Task:
    """Load the digits, split by class with a fixed seed."""
    values, labels = load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = train_test_split(
        values, labels, test_size=HELD_OUT, stratify=labels, random_state=SPLIT_SEED
    )
    train, search, train_labels, search_labels = train_test_split(
        rest, rest_labels, test_size=HELD_OUT, stratify=rest_labels, random_state=SPLIT_SEED
    )
    return Task(
        name="digits",
        make_module=DigitsNet,
        recipe=TrainConfig(epochs=15, batch_size=64, learning_rate=0.1),
        train=_split(train, train_labels),
        search=_split(search, search_labels),
        test=_split(test, test_labels),
    )


def _split(values: object, labels: object) -> Split:
    images = torch.as_tensor(values, dtype=torch.float32).reshape(-1, 1, 8, 8) / LARGEST_VALUE
    return Split(images=images, labels=torch.as_tensor(labels, dtype=torch.int64))
