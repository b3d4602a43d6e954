"""What a score means: its words, and the quality that a search compares."""

import math

import pytest

from quant.errors import TrainingError
from quant.objective.metric import ACCURACY, Metric

ERROR = Metric(name="MSE", unit="", more_is_better=False)
RATIO = Metric(name="psnr", unit="dB")


def test_an_accuracy_is_its_own_quality_and_an_error_counts_by_its_logarithm() -> None:
    assert ACCURACY.quality(0.93) == 0.93
    assert RATIO.quality(31.5) == 31.5
    assert ERROR.quality(0.05) > ERROR.quality(0.06)
    # One percent more of an error is worth what one point of accuracy is, whatever its scale.
    for error in (1e-6, 0.05, 300.0):
        assert ERROR.quality(error) - ERROR.quality(1.01 * error) == pytest.approx(0.01, rel=0.01)
        assert ERROR.score(ERROR.quality(error)) == pytest.approx(error)
    assert math.isfinite(ERROR.quality(0.0))
    assert math.isfinite(ERROR.score(-1e6))


def test_the_error_of_a_quality_is_a_share_of_an_error() -> None:
    assert ACCURACY.quality_se(0.9, 0.01) == 0.01
    assert ERROR.quality_se(0.05, 0.001) == pytest.approx(0.02)
    assert ERROR.quality_se(0.05, None) == ACCURACY.quality_se(0.9, None) == 0.0


def test_words_have_the_metrics_own_unit() -> None:
    assert ACCURACY.text_with_error(0.9123, 0.0045) == "91.23 ± 0.45 %"
    assert ACCURACY.difference(-0.0123, 0.0012) == "-1.23 ± 0.12"
    assert ERROR.text_with_error(0.012341, 0.00067) == "0.01234 ± 0.00067"
    assert RATIO.text_with_error(31.456, None) == "31.46 ± n/a dB"
    assert [one.heading for one in (ACCURACY, ERROR, RATIO)] == ["accuracy %", "MSE", "psnr dB"]
    headings = [one.difference_heading for one in (ACCURACY, ERROR, RATIO)]
    assert headings == ["accuracy, points", "MSE", "psnr, dB"]
    assert [one.axis for one in (ACCURACY, ERROR)] == ["accuracy (%)", "MSE"]
    assert [one.beside_8 for one in (ACCURACY, ERROR)] == ["vs all-8, points", "vs all-8"]


@pytest.mark.parametrize(
    ("metric", "score", "words"),
    [
        (ACCURACY, math.nan, "expected a finite accuracy, found nan"),
        (ACCURACY, 93.0, "expected accuracy from 0 to 1, as it is shown in percent, found 93"),
        (ERROR, -0.5, "expected MSE of 0 or more, as less of it is better, found -0.5"),
    ],
)
def test_scores_out_of_range_are_refused(metric: Metric, score: float, words: str) -> None:
    with pytest.raises(TrainingError, match=words):
        metric.check(score)
