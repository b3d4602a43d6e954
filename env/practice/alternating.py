"""AlternatingEvaluator: practice between real evaluations, real ones at set intervals."""

from collections.abc import Sequence

from env.evaluating.episode import Episode
from env.evaluating.evaluation import Evaluation
from env.evaluating.search_evaluator import SearchEvaluator
from env.evaluating.seen_look import SeenLook
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
        self._watched = 0
        """Real episodes that have begun and not ended."""
        self._seen: set[Allocation] = set()
        self.practised: dict[Allocation, None] = {}
        """Every allocation that practice answered, in the order of first asking."""
        for evaluation in real.evaluations:
            self._learn(evaluation)

    @property
    def real_left(self) -> int:
        """Real evaluations that episodes may still get."""
        return max(0, self._real.remaining - self._reserve - self._watched)

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
        return self.real_left == 0 and self._watched == 0 and self._until_real <= 0

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Answer allocations in order, each with practice or for real."""
        return [self._evaluate(allocation) for allocation in allocations]

    def _evaluate(self, allocation: Allocation) -> Evaluation:
        if self._until_real > 0 or self.real_left == 0 or allocation in self._seen:
            return self.practise(allocation)
        self._until_real = self._practice_episodes
        evaluation = self._real.evaluate([allocation])[0]
        self._learn(evaluation)
        return evaluation

    def practise(self, allocation: Allocation) -> Evaluation:
        """Answer with practice, and count it."""
        self._until_real -= 1
        self.practised[allocation] = None
        return self._practice.evaluate([allocation])[0]

    def begin_episode(self) -> Episode:
        """Return the next episode; whether it is real is decided now, and not at its end.

        What ends in an allocation that was evaluated before has shown looks that were known, and
        practises; the next episode to begin is real then.
        """
        if self._until_real <= 0 and self.real_left > 0:
            real = self._real.begin_episode()
            if real is not None:
                self._watched += 1
                self._until_real = self._practice_episodes
                return _RealEpisode(self, real)
        return _PracticeEpisode(self, self._practice.begin_episode())

    def finish(self, episode: Episode, allocation: Allocation) -> Evaluation:
        """Evaluate what a real episode ended in."""
        self._watched -= 1
        if allocation in self._seen:
            evaluation = self.practise(allocation)
            self._until_real = 0
            return evaluation
        evaluation = episode.finish(allocation)
        self._learn(evaluation)
        return evaluation

    def abandon(self, episode: Episode) -> None:
        """Make the next episode real in place of one that will not end."""
        self._watched -= 1
        self._until_real = 0
        episode.abandon()

    def _learn(self, evaluation: Evaluation) -> None:
        self._seen.add(evaluation.allocation)
        self._practice.observe(evaluation)


class _RealEpisode:
    """A real episode that the alternation counts."""

    def __init__(self, alternating: AlternatingEvaluator, real: Episode) -> None:
        self._alternating, self._real = alternating, real

    def look(self, bits: Sequence[int]) -> SeenLook | None:
        return self._real.look(bits)

    def finish(self, allocation: Allocation) -> Evaluation:
        return self._alternating.finish(self._real, allocation)

    def abandon(self) -> None:
        self._alternating.abandon(self._real)


class _PracticeEpisode:
    """A practice episode that the alternation counts."""

    def __init__(self, alternating: AlternatingEvaluator, practice: Episode) -> None:
        self._alternating, self._practice = alternating, practice

    def look(self, bits: Sequence[int]) -> SeenLook | None:
        return self._practice.look(bits)

    def finish(self, allocation: Allocation) -> Evaluation:
        return self._alternating.practise(allocation)

    def abandon(self) -> None:
        self._practice.abandon()
