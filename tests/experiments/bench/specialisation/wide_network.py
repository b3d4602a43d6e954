"""A network whose bits buy time by the formula."""

from torch import nn


def network() -> nn.Module:
    """For the points of `tests.experiments.stages.own_points`."""
    hidden = (nn.Linear(12, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 96))
    return nn.Sequential(*hidden, nn.ReLU(), nn.Linear(96, 3))
