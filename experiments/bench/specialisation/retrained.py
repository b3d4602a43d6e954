"""Retrained: what an allocation really loses, on the search split, beside all-8 of its seed."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from experiments.stages.network_setup import NetworkSetup
from experiments.stages.retraining import retrain_and_score
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.objective.paired import PairedDifference, paired
from quant.objective.scores import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrained:
    """One retraining, as long as `final` says, from the float checkpoint."""

    seed: int
    score: Score
    all_8: Score
    """Of all-8, retrained with the same seed."""
    beside_all_8: PairedDifference

    @property
    def lost(self) -> float:
        """Quality lost against all-8."""
        metric = self.score.metric
        return metric.quality(self.all_8.value) - metric.quality(self.score.value)

    @property
    def lost_se(self) -> float:
        """Paired standard error of that over the images."""
        return self.score.metric.quality_se(self.score.value, self.beside_all_8.score_se)


def retrain_all(
    setup: NetworkSetup, allocations: Collection[Allocation], seeds: int, progress: LiveProgress
) -> Mapping[Allocation, tuple[Retrained, ...]]:
    """Retrain each allocation with so many seeds, and score them on the search split.

    Args:
        setup: The network, the data and `final`, which says how long; the seeds are its
            configuration's and those that follow.
        allocations: What is retrained, each once for a seed.
        seeds: How many; 0 retrains nothing.
        progress: Shows the retrainings.

    Raises:
        TrainingError: an allocation cannot be trained.
        ConvertError: it has no integer form.
    """
    all_8 = Allocation.uniform(setup.network.layers, MAX_BITS)
    wanted = list(dict.fromkeys([all_8, *allocations]))
    found: dict[Allocation, list[Retrained]] = {one: [] for one in wanted}
    done, total, first = 0, seeds * len(wanted), setup.config.seed
    for seed in range(first, first + seeds):
        seeded = replace(setup, config=replace(setup.config, seed=seed))
        reference = None
        for allocation in wanted:
            scores = retrain_and_score(seeded, allocation, setup.task.search).scores
            reference = scores if reference is None else reference
            found[allocation].append(
                Retrained(
                    seed=seed,
                    score=scores.score,
                    all_8=reference.score,
                    beside_all_8=paired(scores, reference),
                )
            )
            done += 1
            progress.stage("retraining", done, total)
    return {one: tuple(rows) for one, rows in found.items()}
