"""Ranking: which of several evaluations is the better one."""

import math
from collections.abc import Iterable
from dataclasses import replace

from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import RewardConfig, reward
from quant.allocation import Allocation

_ROUNDING = 1e-9
"""A difference of two shares of images may be off by this much."""


def rank(
    evaluations: Iterable[Evaluation], reference: Evaluation, config: RewardConfig
) -> list[Evaluation]:
    """Order real, successful evaluations by their reward, then the faster first.

    With `speed_worth` 0 and no weight on latency the reward orders by score, so that an allocation
    is never placed behind one that scores worse. Behind all others come those below the floor,
    which is a promise and not only a penalty. Of an allocation evaluated twice the latest counts:
    with shared weights it is the state that exists. Of one that was repeated with other orders of
    the training images the mean score counts, and the first evaluation stands for all.
    """
    latest: dict[Allocation, Evaluation] = {}
    repeats: dict[Allocation, list[float]] = {}
    for evaluation in evaluations:
        if not evaluation.practice and not evaluation.error:
            if evaluation.repeat and evaluation.allocation in latest:
                repeats.setdefault(evaluation.allocation, []).append(evaluation.score)
            else:
                latest[evaluation.allocation] = evaluation
    means = {
        allocation: (latest[allocation].score + sum(scores)) / (1 + len(scores))
        for allocation, scores in repeats.items()
    }

    floor = config.floor(reference)

    def key(found: Evaluation) -> tuple[bool, float, float, int]:
        evaluation = replace(found, score=means.get(found.allocation, found.score))
        least = -math.inf if floor is None else min(floor, reference.quality) - _ROUNDING
        below = evaluation.quality < least
        total, _ = reward(evaluation, reference, config)
        latency_ms = evaluation.latency_ms
        assert latency_ms is not None
        return below, -total, latency_ms, evaluation.model_bytes

    return sorted(latest.values(), key=key)
