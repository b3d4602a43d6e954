"""Spread over seeds and the bootstrap: made-up figures whose noise is known."""

import numpy as np
import pytest
import torch

from experiments.bench.noise.retraining import bootstrap_errors
from experiments.bench.noise.seed_spread import seed_spread
from quant.objective.metric import ACCURACY
from quant.objective.paired import paired
from quant.objective.scores import ImageScores


def test_the_spread_of_pairs_is_that_of_the_noise_whatever_the_allocations_differ_by() -> None:
    rng = np.random.default_rng(0)
    levels = rng.normal(0, 50, (400, 1))
    spread = seed_spread(levels + rng.normal(0, 0.3, (400, 2)))
    assert spread.deviation == pytest.approx(0.3, rel=0.1)
    assert spread.low < 0.3 < spread.high
    assert spread.high - spread.low == pytest.approx(0.3 * 4 * (1 / 800) ** 0.5, rel=0.25)
    assert spread.variance_of_mean == pytest.approx(0.045, rel=0.2)


def test_equal_pairs_have_no_spread() -> None:
    spread = seed_spread(np.array([[0.5, 0.5], [0.9, 0.9]]))
    assert (spread.deviation, spread.low, spread.high) == (0, 0, 0)


@pytest.mark.parametrize("changed", [30, 900])
def test_the_bootstrap_agrees_with_the_paired_standard_error(changed: int) -> None:
    generator = torch.Generator().manual_seed(0)
    hard = torch.rand(3000, generator=generator)
    right = hard < 0.9
    other = right.clone()
    other[torch.randperm(3000, generator=generator)[:changed]] ^= True
    noise = 0.1 * torch.rand(3000, generator=generator)
    reference, candidate = (
        ImageScores(metric=ACCURACY, value=float(each.double().mean()), each=each, loss=loss)
        for each, loss in ((right, hard), (other, hard + noise))
    )
    errors, difference = bootstrap_errors(candidate, reference), paired(candidate, reference)
    assert errors.score == pytest.approx(difference.score_se, rel=0.1)
    assert errors.loss == pytest.approx(difference.loss_se, rel=0.1)
    assert errors.score is not None
    assert difference.score_unpaired_se is not None
    assert errors.score < difference.score_unpaired_se
    assert bootstrap_errors(candidate, reference) == errors
