"""Samples of images: the same for every network, and given up where they take too long."""

import torch

from quant.errors import TrainingError
from quant.objective.metric import Metric
from quant.objective.resampling import SAMPLES, resample
from quant.objective.scorer import WholeSet

METRIC = Metric(name="made-up", unit="")


def test_samples_are_the_same_for_every_network() -> None:
    values = torch.arange(30.0)
    one = resample(lambda images: float(values[images].mean()), 30)
    two = resample(lambda images: float(2 * values[images].mean()), 30)
    assert one is not None
    assert two is not None
    assert len(one) == SAMPLES
    assert torch.allclose(2 * one, two)


def test_what_takes_too_long_has_no_samples() -> None:
    assert resample(lambda images: 0.0, 30, limit_s=-1.0) is None


def test_a_function_without_a_value_on_some_samples_has_no_error() -> None:
    labels = torch.zeros(20)
    labels[0] = 1  # a sample may lack it

    def rare(outputs: object, found: torch.Tensor) -> torch.Tensor:
        if not found.any():
            raise TrainingError("expected some of the rare class")
        return found.mean()

    def divided(outputs: object, found: torch.Tensor) -> torch.Tensor:
        return 1 / found.sum()

    for function in (rare, divided):
        scorer = WholeSet(metric=METRIC, compute=function)
        found = scorer.whole([scorer.part(labels, labels)])
        assert found.value > 0
        assert found.resampled is None
