"""Reward: one number for an Evaluation, 0 at the all-8-bit reference."""

import math
from dataclasses import dataclass, replace
from typing import Annotated

from env.errors import TaskError
from env.evaluating.evaluation import Evaluation
from quant.records.ranges import NotNegative, Positive, Range, at_least, check_ranges

REWARD_TERMS = ("accuracy", "speed", "latency", "energy", "floor", "failure")
"""Names of the reward's terms; their sum is the reward."""

_UP_TO_0 = Range("a finite number up to 0", lambda value: -math.inf < value <= 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig:
    """What counts how much.

    Under a hard budget the masks keep the budget, accuracy counts, and among allocations that it
    cannot tell apart the faster one. The inverse question (lose at most one point, be as fast as
    possible) is `asked_inversely`.

    Accuracy stands for the task's metric. Where less of it is better, as of an error, what counts
    is minus its natural logarithm: 0.01 is then one percent of it, near enough.
    """

    accuracy_weight: NotNegative = 1.0
    """Reward for each `accuracy_unit` above the all-8-bit reference."""
    accuracy_unit: Positive = 0.01
    """Accuracy that is worth one unit of reward: one percentage point, one percent of an error."""
    speed_worth: NotNegative = 1.0
    """Standard errors of the all-8-bit reference's accuracy that all of its time is worth (with a
    meter the mean of time and energy): what accuracy cannot tell apart, speed decides. 0: accuracy
    alone."""
    latency_weight: NotNegative = 0.0
    """Reward for being e times faster than the all-8-bit reference."""
    energy_weight: NotNegative = 0.0
    """Reward for taking e times less energy than the all-8-bit reference; needs an energy meter."""
    accuracy_floor: Annotated[float | None, at_least(0)] = None
    """Accuracy (0..1), or score of another metric, beyond which `floor_weight` is paid for each
    unit."""
    accuracy_drop: Annotated[float | None, at_least(0)] = None
    """The same floor, this far below the all-8-bit reference's accuracy."""
    floor_weight: NotNegative = 10.0
    """Penalty for each `accuracy_unit` below the floor."""
    failure_reward: Annotated[float, _UP_TO_0] = -100.0
    """Reward of a candidate that did not train, build or run: as if its accuracy fell by 100
    units."""

    def __post_init__(self) -> None:
        """Refuse units and weights that turn the reward around."""
        check_ranges(self, "env.reward.", TaskError)

    def asked_inversely(self, drop: float) -> "RewardConfig":
        """Return what counts when the answer may lose `drop` of accuracy and nothing else matters.

        Speed counts, or what the weights say where one is set, and accuracy only below the floor.
        """
        weight = self.latency_weight or (0.0 if self.energy_weight else 1.0)
        return replace(
            self, accuracy_weight=0.0, speed_worth=0.0, latency_weight=weight, accuracy_drop=drop
        )

    def floor(self, reference: Evaluation) -> float | None:
        """Return the quality below which `floor_weight` is paid; None without a floor."""
        floors = []
        if self.accuracy_floor is not None:
            floors.append(reference.metric.quality(self.accuracy_floor))
        if self.accuracy_drop is not None:
            floors.append(reference.quality - self.accuracy_drop)
        return max(floors, default=None)


def reward(
    evaluation: Evaluation, reference: Evaluation, config: RewardConfig
) -> tuple[float, dict[str, float]]:
    """Return the reward and its terms.

    `accuracy_weight * (quality - quality_8) / unit
    + speed_worth * accuracy_weight * se_8 / unit * (1 - latency / latency_8)
    + latency_weight * ln(latency_8 / latency) + energy_weight * ln(energy_8 / energy)
    - floor_weight * (max(0, floor - quality) - max(0, floor - quality_8)) / unit`

    The quality is the accuracy, or what `Metric.quality` makes of another score, and `se_8` its
    standard error at the reference. With a meter the second term has the mean of the two resources.

    The reference pays its own distance to the floor, so that its reward is 0 with every
    configuration. A failed candidate gets `failure_reward` and no other term.

    Args:
        evaluation: What was evaluated, for real or in practice.
        reference: The all-8-bit evaluation on the same device with the same protocol.
        config: Units and weights.

    Returns:
        The total, and one entry for each of `REWARD_TERMS`.
    """
    terms = dict.fromkeys(REWARD_TERMS, 0.0)
    if evaluation.error:
        terms["failure"] = config.failure_reward
        return config.failure_reward, terms
    unit = config.accuracy_unit
    terms["accuracy"] = config.accuracy_weight * (evaluation.quality - reference.quality) / unit
    terms["speed"] = _speed(evaluation, reference, config)
    if config.latency_weight:
        latency_ms, reference_ms = evaluation.latency_ms, reference.latency_ms
        assert latency_ms is not None
        assert reference_ms is not None
        terms["latency"] = config.latency_weight * math.log(reference_ms / latency_ms)
    if config.energy_weight:
        energy_mj, reference_mj = evaluation.energy_mj, reference.energy_mj
        assert energy_mj is not None
        assert reference_mj is not None
        terms["energy"] = config.energy_weight * math.log(reference_mj / energy_mj)
    floor = config.floor(reference)
    if floor is not None:
        below = max(0.0, floor - evaluation.quality)
        below_8 = max(0.0, floor - reference.quality)
        terms["floor"] = -config.floor_weight * (below - below_8) / unit
    return sum(terms.values()), terms


def _speed(evaluation: Evaluation, reference: Evaluation, config: RewardConfig) -> float:
    """Return what the saved share of time and energy is worth; 0 where nobody knows `se_8`."""
    error = reference.metric.quality_se(reference.score, reference.score_se)
    pairs = (
        (evaluation.latency_ms, reference.latency_ms),
        (evaluation.energy_mj, reference.energy_mj),
    )
    saved = [1 - now / then for now, then in pairs if now is not None and then]
    if not saved or not config.speed_worth:
        return 0.0
    worth = config.speed_worth * config.accuracy_weight * error / config.accuracy_unit
    return worth * sum(saved) / len(saved)
