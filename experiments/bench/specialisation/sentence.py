"""Sentence: what a matrix shows, in one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.bench.specialisation.cell import Cell
from quant.objective.metric import Metric

_LEAST_SHOWN = 5e-5
"""Quality: half of the last digit that is shown of a share."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreign:
    """A cell off the diagonal, with what its allocation loses beyond the view's own best."""

    cell: Cell
    loses_more: float
    """Of quality; below zero where it loses less."""
    same: bool
    """Whether the view's own best is the same allocation."""


def sentence(foreign: Sequence[Foreign], views: int, metric: Metric, losses_are: str) -> str:
    """Return what deploying another view's best allocation costs in time and in quality.

    Args:
        foreign: All cells off the diagonal.
        views: How many there are.
        metric: What is lost.
        losses_are: `predicted` or `retrained`.
    """
    if all(each.same for each in foreign):
        return f"All {views} views have the same best allocation: specialising is worth nothing."
    middle = float(np.median([each.cell.beyond for each in foreign]))
    worst = max(foreign, key=lambda each: each.cell.beyond).cell
    keeping = [each for each in foreign if each.cell.keeps]
    time = (
        f"On a view that it was not made for, an allocation takes {_beyond(middle)} time "
        f"than the budget there allows in the median, {_beyond(worst.beyond)} at worst "
        f"({worst.made_for}'s on {worst.deployed_on})"
    )
    if not keeping:
        return f"{time}; none of {len(foreign)} keeps the budget."
    keep = "keeps" if len(keeping) == 1 else "keep"
    kept = f"{len(keeping)} of {len(foreign)} {keep} the budget"
    if same := sum(each.same for each in keeping):
        kept += f" ({same} by being the view's own best as well)"
    more = [each.loses_more for each in keeping]
    if max(more) < _LEAST_SHOWN:
        none = "none of these loses" if len(more) > 1 else "it loses no"
        all_of_them = ": nothing is lost" if len(keeping) == len(foreign) else ""
        return f"{time}; {kept}, and {none} more than the view's own{all_of_them}."
    most = f"{lost_text(metric, max(more))} more"
    if len(more) == 1:
        return f"{time}; {kept}, and it loses {most} than the view's own ({losses_are})."
    median = float(np.median(more))
    less = "less" if median <= -_LEAST_SHOWN else "more"
    return (
        f"{time}; {kept}, and these lose {lost_text(metric, abs(median))} {less} than the view's "
        f"own in the median, {most} at worst ({losses_are})."
    )


def lost_text(metric: Metric, lost: float) -> str:
    """Return a loss of quality as it is shown, with its unit."""
    return f"{lost_number(metric, lost)} {lost_unit(metric)}".strip()


def lost_number(metric: Metric, lost: float) -> str:
    """Return a loss of quality as it is shown: of what less is better of, a share of it in %."""
    if not metric.more_is_better:
        return f"{100.0 * math.expm1(lost):.2f}"
    return f"{metric.factor * lost:.2f}" if metric.is_share else f"{lost:.4g}"


def lost_unit(metric: Metric) -> str:
    """Return the unit of that."""
    return metric.difference_unit if metric.more_is_better else f"% of {metric.name}"


def _beyond(cost: float) -> str:
    return f"{100.0 * abs(cost):.1f} % {'more' if cost >= 0 else 'less'}"
