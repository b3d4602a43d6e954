"""From a method's candidates to its answer: timed again, retrained, scored on the test split."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from env.decisions.budget import MEASURED_TOLERANCE
from env.decisions.costs import model_bytes
from env.evaluating.stored_accuracies import StoredAccuracies
from experiments.compare.rows import Answer
from experiments.stages.measured import graph_of
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.resource_budget import DecidedBudget
from experiments.stages.retraining import retrain_and_score
from experiments.stages.search import accuracy_key
from experiments.stages.side_by_side import time_side_by_side
from hardware.device import Device
from hardware.measuring.measurement import Measurement
from hardware.store import Store
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.objective.paired import PairedDifference, paired
from quant.objective.scores import ImageScores


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """An allocation and all-8-bit, timed in the same rounds."""

    allocation: Allocation
    measurement: Measurement
    all_8: Measurement


def first_inside(
    candidates: Sequence[Allocation], decided: DecidedBudget, setup: NetworkSetup, device: Device
) -> Timed | None:
    """Return the first of a method's candidates that is inside the budget when timed again.

    Many of the best may lie near the budget's edge, and on the other side of it by now.

    Args:
        candidates: Best first.
        decided: What is a share of it is one of all-8 as it is timed beside the candidate; a
            measured latency may exceed the limit by `MEASURED_TOLERANCE`.
        setup: The network.
        device: Measures now; looks nothing up.

    Raises:
        BuildError: a candidate cannot be measured.
        HardwareLostError: the device is gone.
    """
    for allocation in candidates:
        timed = time_beside_all_8(allocation, setup, device)
        if decided.beside({MAX_BITS: timed.all_8}).allows(
            latency_ms=timed.measurement.median_ms,
            model_bytes=model_bytes(setup.network.layers, allocation),
            tolerance=MEASURED_TOLERANCE,
        ):
            return timed
    return None


def time_beside_all_8(allocation: Allocation, setup: NetworkSetup, device: Device) -> Timed:
    """Time an allocation and all-8-bit in the same rounds.

    Raises:
        BuildError: one of them cannot be measured.
        HardwareLostError: the device is gone.
    """
    all_8 = Allocation.uniform(setup.network.layers, MAX_BITS)
    graphs = {one: graph_of(setup.network, one) for one in dict.fromkeys([all_8, allocation])}
    times = time_side_by_side(device, graphs)
    return Timed(allocation=allocation, measurement=times[allocation], all_8=times[all_8])


class FinalScores:
    """What allocations make of the test split, image by image, once retrained as `final` says.

    Retraining depends on nothing but the allocation and the seed, so that two methods with one
    answer get one score, which is paid for once.
    """

    def __init__(self, setup: NetworkSetup, store: Store) -> None:
        """Digest once what all scores depend on.

        Args:
            setup: The network at its float checkpoint, and the data.
            store: Where scores are kept.
        """
        self.layers = setup.network.layers
        self._setup = setup
        final = asdict(setup.config.final)
        key = {**accuracy_key(setup), "final": final, "test": setup.task.test.digest}
        self._known = StoredAccuracies(store, key)

    def of(self, allocation: Allocation) -> ImageScores:
        """Return what the store has of an allocation, or retrain and score it."""
        scores = self._known.get_scores(allocation)
        if scores is None:
            scores = retrain_and_score(self._setup, allocation, self._setup.task.test).scores
            self._known.put_scores(allocation, scores)
        return scores


def answer_of(timed: Timed, final: FinalScores) -> Answer:
    """Score an allocation that was timed already on the test split, beside all-8."""
    scores = final.of(timed.allocation)
    return Answer(
        metric=scores.metric,
        test_score=scores.value,
        test_score_se=scores.standard_error,
        test_beside_reference=paired(scores, final.of(Allocation.uniform(final.layers, MAX_BITS))),
        latency_ms=timed.measurement.median_ms,
        latency_iqr_ms=timed.measurement.iqr_ms,
        all_8_ms=timed.all_8.median_ms,
        model_bytes=model_bytes(final.layers, timed.allocation),
        allocation=timed.allocation.to_dict(),
    )


def beside(
    answer: Answer, others: Mapping[str, Answer], final: FinalScores
) -> dict[str, PairedDifference]:
    """Return how an answer differs from each other one on the same test images.

    Args:
        answer: Of a method.
        others: Of other methods with the same seed and budget, by name.
        final: Of that seed.
    """
    own = final.of(Allocation.from_dict(answer.allocation))
    return {
        name: paired(own, final.of(Allocation.from_dict(other.allocation)))
        for name, other in others.items()
    }
