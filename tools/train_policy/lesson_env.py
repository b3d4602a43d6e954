"""Environments of lessons: what an episode loses is known, and so is the least it could lose."""

import math
from collections.abc import Sequence

from env.bit_allocation import BitAllocationEnv
from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import RewardConfig
from env.sensitivity.sensitivities import Sensitivities
from env.token_observer import WIDTHS
from env.token_view import TokenView
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from tools.train_policy.lessons import Lesson


class _Known:
    """Answers with what a lesson loses."""

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Return one Evaluation for each allocation, in order."""
        return [self._evaluation(allocation) for allocation in allocations]

    def _evaluation(self, allocation: Allocation) -> Evaluation:
        lesson = self._lesson
        return Evaluation(
            allocation=allocation,
            index=-1,
            score=-lesson.loss(allocation),
            score_se=0.0,
            loss=math.nan,
            model_bytes=0,
            predicted_ms=lesson.table.predict_ms(allocation),
            practice=True,
        )


def env_of(lesson: Lesson, *, length: int = 0) -> TokenView:
    """Return the environment of one lesson, its losses shown."""
    rises: Sensitivities = {
        (part.layer, part.kind, bits): 0.0
        for decision in lesson.space.decisions
        for part in decision.parts
        for bits in WIDTHS
    }
    known = _Known(lesson)
    env = BitAllocationEnv(
        space=lesson.space,
        budget=lesson.budget,
        evaluator=known,
        table=lesson.table,
        sensitivities=rises,
        reference=known.evaluate([Allocation.uniform(lesson.space.layers, MAX_BITS)])[0],
        reward_config=RewardConfig(speed_worth=0.0),
    )
    view = TokenView(env, length=length)
    view.show(lesson.responses)
    return view
