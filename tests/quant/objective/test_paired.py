"""Paired differences: of real networks against the bootstrap, and of made-up scores exactly."""

from functools import cache

import pytest
import torch

from quant.allocation import Allocation
from quant.convert import convert
from quant.network import QuantizedNetwork
from quant.objective.metric import ACCURACY
from quant.objective.paired import PAIRED_COLUMNS, PairedDifference, paired, paired_cells
from quant.objective.scores import ImageScores
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.integer_scores import integer_scores
from quant.testing import retrain
from tests.conftest import Digits

DRAWS = 4000
"""Of the bootstrap: its own standard errors are then known to about 2 %."""


def scores_at(network: QuantizedNetwork, bits: int, digits: Digits) -> ImageScores:
    """Retrain a copy at uniform bits, with the same images in the same order for all of them."""
    network = network.clone()
    network.set_allocation(Allocation.uniform(network.layers, bits))
    config = FinetuneConfig(steps=4)
    retrain(network, digits.train_images, digits.train_labels, config, seed=0)
    return integer_scores(convert(network), digits.test_images, digits.test_labels)


def made_up(correct: list[int], loss: list[float]) -> ImageScores:
    each = torch.tensor(correct).bool()
    value = float(each.double().mean())
    return ImageScores(metric=ACCURACY, value=value, each=each, loss=torch.tensor(loss))


def errors(found: PairedDifference) -> tuple[float, float]:
    assert found.score_se is not None
    assert found.score_unpaired_se is not None
    return found.score_se, found.score_unpaired_se


@cache
def times_drawn(count: int) -> torch.Tensor:
    """Return how often each of so many images is drawn with replacement, `[DRAWS, count]`."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(count, (DRAWS, count), generator=generator)
    return torch.zeros(DRAWS, count, dtype=torch.float64).scatter_add_(
        1, drawn, torch.ones(DRAWS, count, dtype=torch.float64)
    )


def bootstrap(values: torch.Tensor) -> float:
    """Return the standard error of the mean of values `[N]`."""
    return float((times_drawn(len(values)) @ values.double() / len(values)).std())


def test_paired_errors_of_uniform_8_to_2_are_the_bootstraps_and_below_the_unpaired(
    network: QuantizedNetwork, digits: Digits, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {bits: scores_at(network, bits, digits) for bits in range(8, 1, -1)}
    reference, lines = scores[8], []
    for bits, one in scores.items():
        found = paired(one, reference)
        paired_se, unpaired_se = errors(found)
        lines.append(
            f"uniform {bits}: accuracy {100 * found.score:+.2f} ± {100 * paired_se:.2f} "
            f"(unpaired {100 * unpaired_se:.2f}) points, loss {found.loss:+.4f} "
            f"± {found.loss_se:.4f} (unpaired {found.loss_unpaired_se:.4f})"
        )
        assert found.score == pytest.approx(one.score.value - reference.score.value)
        assert found.loss == pytest.approx(one.score.loss - reference.score.loss)
        assert one.each is not None
        assert reference.each is not None
        rights = one.each.double() - reference.each.double()
        losses = one.loss.double() - reference.loss.double()
        for mine, unpaired, values in (
            (paired_se, unpaired_se, rights),
            (found.loss_se, found.loss_unpaired_se, losses),
        ):
            assert mine < unpaired
            if values.count_nonzero():
                assert mine == pytest.approx(bootstrap(values), rel=0.1)
        apart = (
            bootstrap(one.loss) ** 2 + bootstrap(reference.loss) ** 2  # of different images
        ) ** 0.5
        assert found.loss_unpaired_se == pytest.approx(apart, rel=0.1)
    with capsys.disabled():
        print("", *lines, sep="\n")


def test_a_network_beside_itself_differs_by_nothing(
    network: QuantizedNetwork, digits: Digits
) -> None:
    first, again = (scores_at(network, 5, digits) for _ in range(2))
    found = paired(first, again)
    assert (found.score, found.score_se, found.loss, found.loss_se) == (0, 0, 0, 0)
    assert errors(found)[1] > 0
    assert found.loss_unpaired_se > 0


def test_networks_that_are_right_on_the_same_images_are_half_an_image_apart() -> None:
    count = 360
    correct = [1] * (count - 3) + [0] * 3
    found = paired(made_up(correct, [0.2] * count), made_up(correct, [0.1] * count))
    assert found.score == 0.0
    assert found.score_se == pytest.approx((0.5 / (count - 1) / count) ** 0.5)
    assert errors(found)[0] < errors(found)[1]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_where_all_is_right_the_error_is_not_zero_and_not_above_the_unpaired(count: int) -> None:
    found = paired(made_up([1] * count, [0.2] * count), made_up([1] * count, [0.1] * count))
    assert 0 < errors(found)[0] <= errors(found)[1]


def test_a_covariance_below_zero_is_taken_as_zero() -> None:
    """Each network is right where the other is wrong."""
    first, second = made_up([1, 0] * 20, [0.1, 2.0] * 20), made_up([0, 1] * 20, [2.0, 0.1] * 20)
    found = paired(first, second)
    assert found.score_se == found.score_unpaired_se
    assert found.loss_se == found.loss_unpaired_se


def test_scores_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="the reference's 3 images, found 2"):
        paired(made_up([1, 0], [0.1, 0.2]), made_up([1, 0, 1], [0.1, 0.2, 0.3]))


def test_cells_have_a_column_for_every_number_also_where_there_is_none() -> None:
    found = paired(made_up([1, 0, 1], [0.1, 0.9, 0.2]), made_up([1, 1, 1], [0.1, 0.2, 0.3]))
    cells = paired_cells(found)
    assert cells["beside_reference_score"] == pytest.approx(-1 / 3)
    assert tuple(cells) == PAIRED_COLUMNS == tuple(paired_cells(None))
    assert set(paired_cells(None).values()) == {None}
