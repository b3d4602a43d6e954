"""AlternatingEvaluator: practice between real evaluations, real ones at set intervals."""

from collections.abc import Sequence

from env.evaluating.evaluation import Evaluation
from env.evaluating.search_evaluator import SearchEvaluator
from env.practice.practice import PracticeEvaluator
from quant.allocation import Allocation


class AlternatingEvaluator:
    """Answers episodes with practice, and with a real evaluation when one is due.

    A real one is due after the warm-up and then after every `practice_episodes`; an allocation
    that was evaluated before practises instead, and the real one stays due. Once only `reserve`
    real evaluations are left, every episode practises.
    """

    def __init__(
        self,
        real: SearchEvaluator,
        practice: PracticeEvaluator,
        *,
        warm_up_episodes: int,
        practice_episodes: int,
        reserve: int,
    ) -> None:
        """Keep both evaluators; evaluations that were already made teach the practice model."""
        self._real, self._practice = real, practice
        self._practice_episodes = practice_episodes
        self._until_real = warm_up_episodes
        self._reserve = reserve
        self._seen: set[Allocation] = set()
        self.practised: dict[Allocation, None] = {}
        """Every allocation that practice answered, in the order of first asking."""
        for evaluation in real.evaluations:
            self._learn(evaluation)

    @property
    def real_left(self) -> int:
        """Real evaluations that episodes may still get."""
        return max(0, self._real.remaining - self._reserve)

    @property
    def until_real(self) -> int:
        """Practice episodes before the next real one."""
        return max(0, self._until_real)

    def practise_first(self, episodes: int) -> None:
        """Put off the next real episode by this many, at least by the usual practice.

        A policy that was resumed has its warm-up behind it, or part of it.
        """
        self._until_real = max(episodes, self._practice_episodes)

    @property
    def done(self) -> bool:
        """Whether no real evaluation is left and the practice that was due after it is over."""
        return self.real_left == 0 and self._until_real <= 0

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Answer allocations in order, each with practice or for real."""
        return [self._evaluate(allocation) for allocation in allocations]

    def _evaluate(self, allocation: Allocation) -> Evaluation:
        if self._until_real > 0 or self.real_left == 0 or allocation in self._seen:
            self._until_real -= 1
            self.practised[allocation] = None
            return self._practice.evaluate([allocation])[0]
        self._until_real = self._practice_episodes
        evaluation = self._real.evaluate([allocation])[0]
        self._learn(evaluation)
        return evaluation

    def _learn(self, evaluation: Evaluation) -> None:
        self._seen.add(evaluation.allocation)
        self._practice.observe(evaluation)
