"""Metric: what a score is called, its unit, and which way is better."""

import math
from dataclasses import dataclass

from quant.errors import TrainingError

PERCENT = "%"
_LEAST_SCORE = 1e-12
"""A score that cannot be better, where less is better, counts as this."""
_LARGEST_EXPONENT = 700.0
"""Of what floats hold: a model may predict anything of bits that nobody tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """What a score means.

    Searches compare qualities, which rise as scores get better: the score itself where more is
    better, else minus its natural logarithm, so that a hundredth of quality is a percentage point
    of accuracy and, near enough, one percent of an error. Of errors only ratios mean the same in
    every network: an error has no scale of its own.
    """

    name: str = "accuracy"
    """Without spaces: it is part of tags."""
    unit: str = PERCENT
    """`%`: scores are shares, 0..1, and shown in percent."""
    more_is_better: bool = True

    @property
    def is_share(self) -> bool:
        """Whether scores are shares, 0..1."""
        return self.unit == PERCENT

    @property
    def factor(self) -> float:
        """From a score to what is shown."""
        return 100.0 if self.is_share else 1.0

    @property
    def title(self) -> str:
        """Name at the beginning of a line: `Accuracy`, but `mIoU` as people write it."""
        return self.name if self.name != self.name.lower() else self.name.capitalize()

    @property
    def heading(self) -> str:
        """Name and unit, over a column of scores."""
        return f"{self.name} {self.unit}".strip()

    @property
    def difference_heading(self) -> str:
        """Name and unit, over a column of differences of scores."""
        return f"{self.name}, {self.difference_unit}".removesuffix(", ")

    @property
    def beside_8(self) -> str:
        """Over a column of differences from the all-8-bit reference."""
        return f"vs all-8, {self.difference_unit}".removesuffix(", ")

    @property
    def difference_unit(self) -> str:
        """Unit of a difference of scores."""
        return "points" if self.is_share else self.unit

    @property
    def axis(self) -> str:
        """Name and unit, at an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def check(self, score: float) -> None:
        """Refuse a score that is out of its range.

        Raises:
            TrainingError: not finite, a share outside 0..1, or below zero where less is better.
        """
        if not math.isfinite(score):
            raise TrainingError(
                f"expected a finite {self.name}, found {score}",
                "look for outputs that are not finite, and for what the metric divides by",
            )
        if self.is_share and not 0 <= score <= 1:
            raise TrainingError(
                f"expected {self.name} from 0 to 1, as it is shown in percent, found {score:.4g}"
            )
        if score < 0 and not self.more_is_better:
            raise TrainingError(
                f"expected {self.name} of 0 or more, as less of it is better, found {score:.4g}",
                "return what more is better of, for example minus its value",
            )

    def quality(self, score: float) -> float:
        """Return what rises as the score gets better."""
        return score if self.more_is_better else -math.log(max(score, _LEAST_SCORE))

    def quality_se(self, score: float, standard_error: float | None) -> float:
        """Return the standard error of the quality; 0 where that of the score is not known."""
        if standard_error is None or self.more_is_better:
            return standard_error or 0.0
        return standard_error / max(score, _LEAST_SCORE)

    def score(self, quality: float) -> float:
        """Return the score of a quality."""
        return quality if self.more_is_better else math.exp(min(-quality, _LARGEST_EXPONENT))

    def number(self, score: float) -> str:
        """Return a score as it is shown, without its unit."""
        return f"{100 * score:.2f}" if self.is_share else f"{score:.4g}"

    def text(self, score: float) -> str:
        """Return a score as it is shown, with its unit."""
        return f"{self.number(score)} {self.unit}".strip()

    def number_with_error(self, score: float, standard_error: float | None) -> str:
        """Return a score and its standard error, without unit; `n/a` for one that nobody knows."""
        return f"{self.number(score)} ± {self.error(standard_error)}"

    def text_with_error(self, score: float, standard_error: float | None) -> str:
        """Return a score and its standard error, with the unit."""
        return f"{self.number_with_error(score, standard_error)} {self.unit}".strip()

    def difference(self, difference: float, standard_error: float | None) -> str:
        """Return a difference of scores and its standard error, without unit."""
        shown = f"{100 * difference:+.2f}" if self.is_share else f"{difference:+.4g}"
        return f"{shown} ± {self.error(standard_error)}"

    def error(self, standard_error: float | None) -> str:
        """Return a standard error as it is shown, without unit."""
        if standard_error is None:
            return "n/a"
        return f"{100 * standard_error:.2f}" if self.is_share else f"{standard_error:.2g}"


ACCURACY = Metric()
"""Top-1: what every record of before has."""
