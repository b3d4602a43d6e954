"""Evaluator: real retraining of a narrow network, on the simulated device."""

import json
import math
import threading
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch

from env.decisions.costs import cost_table, model_bytes
from env.decisions.space import decision_space
from env.errors import EvaluationLimitError
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from hardware.device import MeasureResult
from hardware.errors import HardwareLostError
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.records.json_form import to_plain
from quant.retraining.finetune_config import FinetuneConfig
from tests.env.conftest import SmallDigits

QUICK = FinetuneConfig(steps=4, batch_size=32, compensation_images=0, held_back_images=0)


def make(
    small_digits: SmallDigits,
    weights: Literal["reset", "shared"] = "shared",
    limit: int = 8,
    **rates: Any,
) -> Evaluator:
    return Evaluator(
        small_digits.network.clone(),
        small_digits.device,
        small_digits.task.train,
        small_digits.task.search,
        EnvConfig(weights=weights, finetune=replace(QUICK, **rates)),
        seed=0,
        limit=limit,
    )


def uniform(small_digits: SmallDigits, bits: int) -> Allocation:
    return Allocation.uniform(small_digits.network.layers, bits)


def test_evaluation_is_complete_and_survives_json(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits)
    evaluator.proposer = "somebody"
    heard: list[Evaluation] = []
    evaluator.on_evaluation.append(heard.append)
    evaluation = evaluator.evaluate([uniform(small_digits, 4)])[0]
    assert heard == evaluator.evaluations == [evaluation]
    assert (evaluation.index, evaluation.proposer, evaluation.practice) == (0, "somebody", False)
    assert 0.5 < evaluation.score <= 1.0
    assert evaluation.measurement is not None
    assert evaluation.latency_ms == evaluation.measurement.median_ms
    assert evaluation.train_s > 0
    assert Evaluation.from_dict(json.loads(json.dumps(to_plain(evaluation)))) == evaluation


def test_limit_is_kept_and_counted(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits, limit=2)
    with pytest.raises(EvaluationLimitError, match="all 2 evaluations are used up"):
        evaluator.evaluate([uniform(small_digits, bits) for bits in (8, 6, 4)])
    assert len(evaluator.evaluations) == 2
    assert evaluator.remaining == 0


class TwoBoards(SimulatedDevice):
    """Measures two candidates at once: the first one until another one has begun."""

    parallel = 2

    def __init__(self, lost_at: int = -1) -> None:
        super().__init__(ProtocolConfig(repeats=5))
        self.running = self.most_running = self.started = 0
        self.lost_at = lost_at
        self._lock = threading.Lock()
        self._another = threading.Event()

    def measure(self, graph: DeployGraph) -> MeasureResult:
        with self._lock:
            number = self.started
            self.started += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        if number:
            self._another.set()
        self._another.wait(30.0)
        with self._lock:
            self.running -= 1
        if number == self.lost_at:
            raise HardwareLostError("no board after 120 s")
        return super().measure(graph)


def test_several_boards_measure_at_once_and_the_order_stays(small_digits: SmallDigits) -> None:
    bits = (8, 7, 6, 5, 4)
    allocations = [uniform(small_digits, width) for width in bits]
    one = make(small_digits, "reset")
    one.proposer = "somebody"
    expected = one.evaluate(allocations)
    device = TwoBoards()
    two = make(small_digits, "reset")
    two.device, two.proposer = device, "somebody"
    heard: list[Evaluation] = []
    two.on_evaluation.append(heard.append)
    found = two.evaluate(allocations)
    assert device.most_running == 2
    assert heard == found == two.evaluations
    for mine, theirs in zip(found, expected, strict=True):
        same = ("allocation", "index", "score", "loss", "measurement", "proposer")
        assert [getattr(mine, name) for name in same] == [getattr(theirs, name) for name in same]


def test_a_board_lost_among_several_keeps_what_was_finished_before_it(
    small_digits: SmallDigits,
) -> None:
    evaluator = make(small_digits, "reset")
    evaluator.device = TwoBoards(lost_at=2)
    with pytest.raises(HardwareLostError):
        evaluator.evaluate([uniform(small_digits, bits) for bits in (8, 7, 6, 5)])
    assert [item.index for item in evaluator.evaluations] == [0, 1]


def test_the_limit_holds_for_several_boards(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits, "reset", limit=3)
    evaluator.device = TwoBoards()
    with pytest.raises(EvaluationLimitError, match="all 3 evaluations are used up"):
        evaluator.evaluate([uniform(small_digits, bits) for bits in (8, 7, 6, 5)])
    assert len(evaluator.evaluations) == 3


def test_shared_weights_are_measured_one_by_one(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits, "shared")
    evaluator.device = device = TwoBoards()
    evaluator.evaluate([uniform(small_digits, bits) for bits in (8, 7)])
    assert device.most_running == 1


def test_reset_weights_forget_and_shared_weights_go_on(small_digits: SmallDigits) -> None:
    both: tuple[tuple[Literal["reset", "shared"], bool], ...] = (("reset", True), ("shared", False))
    for weights, same in both:
        evaluator = make(small_digits, weights)
        start = {name: value.clone() for name, value in evaluator.network.state_dict().items()}
        evaluator.evaluate([uniform(small_digits, 3)])
        after = evaluator.network.state_dict()
        assert any(not torch.equal(start[name], after[name]) for name in start)
        evaluator.evaluations.clear()  # the next evaluation then draws the same images
        again = evaluator.evaluate([uniform(small_digits, 3)])[0]
        fresh = make(small_digits, weights).evaluate([uniform(small_digits, 3)])[0]
        assert (again.loss == fresh.loss) is same


@pytest.mark.parametrize("weights", ["reset", "shared"])
def test_a_training_that_hurts_is_not_what_is_evaluated(
    small_digits: SmallDigits, weights: Literal["reset", "shared"]
) -> None:
    judged = {"compensation_images": 32, "held_back_images": 100}
    bits = [uniform(small_digits, 4)]
    start = make(small_digits, "reset", steps=0, **judged).evaluate(bits)[0]
    broken = make(small_digits, weights, learning_rate=1.0, **judged)
    before = {name: value.clone() for name, value in broken.network.state_dict().items()}
    found = broken.evaluate(bits)[0]
    assert found.retraining is not None
    assert found.retraining.kept == "start"
    assert found.loss == start.loss
    if weights == "shared":  # and the next one goes on from the float checkpoint
        after = broken.network.state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_same_seed_gives_the_same_evaluations(small_digits: SmallDigits) -> None:
    runs = []
    for _ in range(2):
        evaluations = make(small_digits).evaluate([uniform(small_digits, b) for b in (8, 2)])
        runs.append([(e.score, e.loss, e.latency_ms) for e in evaluations])
    assert runs[0] == runs[1]


def test_training_that_diverges_is_a_value_and_leaves_no_trace(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits, learning_rate=1e30, steps=6)
    before = {name: value.clone() for name, value in evaluator.network.state_dict().items()}
    evaluation = evaluator.evaluate([uniform(small_digits, 8)])[0]
    assert evaluation.error
    assert evaluation.latency_ms is None
    assert evaluation.score == 0.0
    for name, value in evaluator.network.state_dict().items():
        assert torch.equal(value, before[name])
    read = Evaluation.from_dict(json.loads(json.dumps(to_plain(evaluation), allow_nan=False)))
    assert math.isnan(read.loss)


def test_device_that_fails_a_candidate_is_a_value(
    small_digits: SmallDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = MeasureResult(error="timed out after 60 s")
    monkeypatch.setattr(SimulatedDevice, "measure", lambda self, graph: failed)
    evaluation = make(small_digits).evaluate([uniform(small_digits, 8)])[0]
    assert evaluation.error == "timed out after 60 s"
    assert evaluation.score > 0.5


def test_costs_are_what_the_converted_network_has(small_digits: SmallDigits) -> None:
    """Bytes equal the graph's; picoseconds equal the table's prediction."""
    layers, network = small_digits.network.layers, small_digits.network.clone()
    space = decision_space(layers, (2, 3, 4, 5, 6, 7, 8))
    costs = cost_table(space, small_digits.table)
    count = len(space.decisions)
    for bits in ([2, 3, 4, 5, 6, 7, 8, 2, 3], [8] * count, [2] * count):
        allocation = space.allocation(bits)
        network.set_allocation(allocation)
        graph_bytes = convert(network).weight_bytes()
        picoseconds, total_bytes, _ = costs.total(allocation)
        assert total_bytes == model_bytes(layers, allocation) == graph_bytes
        predicted_ms = small_digits.table.predict_ms(allocation)
        # Each entry is rounded up to a picosecond.
        assert 0 <= picoseconds / 1e9 - predicted_ms + 1e-12 <= (len(layers) + 1) * 1e-9


def test_a_repeat_differs_by_the_order_of_its_images_and_is_handed_back(
    small_digits: SmallDigits,
) -> None:
    evaluator, narrow = make(small_digits, "reset"), uniform(small_digits, 2)
    evaluator.evaluate([uniform(small_digits, 8), narrow])
    (first,) = evaluator.evaluate([narrow], repeat=1)
    (second,) = evaluator.evaluate([narrow], repeat=2)
    losses = [e.loss for e in evaluator.evaluations[1:]]
    assert len(set(losses)) == 3
    assert [e.repeat for e in evaluator.evaluations] == [0, 0, 1, 2]
    assert first.beside_reference is not None
    assert evaluator.remaining == 4
    document = json.loads(json.dumps(to_plain(second)))
    assert Evaluation.from_dict(document) == second
    del document["repeat"]  # as records of before
    assert Evaluation.from_dict(document).repeat == 0

    again = Evaluator(
        small_digits.network.clone(),
        small_digits.device,
        small_digits.task.train,
        small_digits.task.search,
        EnvConfig(weights="reset", finetune=QUICK),
        seed=0,
        limit=8,
        past=evaluator.evaluations[:3],
    )
    again.evaluate([uniform(small_digits, 8), narrow])
    assert again.evaluate([narrow], repeat=1) == [first]
    assert again.evaluate([narrow], repeat=2)[0].loss == second.loss


def test_evaluations_are_held_back(small_digits: SmallDigits) -> None:
    evaluator = make(small_digits, limit=2)
    evaluator.held_back = 1
    assert evaluator.remaining == 1
    evaluator.evaluate([uniform(small_digits, 8)])
    with pytest.raises(EvaluationLimitError):
        evaluator.evaluate([uniform(small_digits, 4)])
    evaluator.held_back = 0
    assert evaluator.remaining == 1
    assert not evaluator.repeatable
