import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from experiments.stages.side_by_side import EXTRA_ROUNDS, ROUNDS, time_side_by_side
from hardware.device import Bench, MeasureResult
from hardware.errors import BuildError
from hardware.facts import MachineFacts, RulerFacts
from hardware.layers.table import LayerTable
from hardware.measuring.measurement import MeasurementSource
from hardware.measuring.ruler import RulerReading
from quant.deploy_graph import DeployGraph
from quant.records.json_form import to_plain
from tests.experiments.evaluations import measurement


class ScriptedDevice:
    """Answers with the next time of each graph's script, and remembers the order."""

    source: MeasurementSource = "simulated"
    name = "scripted"

    def __init__(
        self,
        scripts: Mapping[str, Sequence[float | None]],
        unstable: Collection[float] = (),
        rulers_us: Sequence[float] = (),
    ) -> None:
        self._unstable = unstable
        self._rulers_us = iter(rulers_us)
        self._best_us = math.inf
        self.order: list[str] = []
        self._scripts = {name: itertools.cycle(times) for name, times in scripts.items()}

    def facts(self) -> MachineFacts:
        return {}

    def identity(self, graph: DeployGraph) -> Any:
        return graph.network

    def measure(self, graph: DeployGraph) -> MeasureResult:
        self.order.append(graph.network)
        latency_ms = next(self._scripts[graph.network])
        if latency_ms is None:
            return MeasureResult(error="wrong result")
        timed = measurement(latency_ms)
        if latency_ms in self._unstable:
            timed = replace(timed, values_ms=tuple(latency_ms * k for k in (0.1, 0.5, 1, 2, 9)))
        if (ruler_us := next(self._rulers_us, None)) is not None:
            timed = replace(timed, facts={"ruler": self._ruler(ruler_us)})
        return MeasureResult(measurement=timed)

    def _ruler(self, ruler_us: float) -> RulerFacts:
        self._best_us = min(self._best_us, ruler_us)
        return RulerReading(
            before_us=ruler_us,
            after_us=ruler_us,
            best_us=self._best_us,
            waited_s=0.0,
            cpu_share=1.0,
        ).facts()

    def run(self, graph: DeployGraph, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise NotImplementedError

    def bench(self) -> AbstractContextManager[Bench]:
        raise NotImplementedError

    def close(self) -> None:
        pass


def graph(name: str) -> DeployGraph:
    return DeployGraph(network=name, input="x", output="x", tensors={})


def test_rounds_are_interleaved_and_the_quickest_of_three_counts() -> None:
    device: Any = ScriptedDevice({"slow": [3.0, 1.0, 2.0], "fast": [0.1, 0.3, 0.2]})
    found = time_side_by_side(device, {name: graph(name) for name in ("slow", "fast")})
    assert device.order == ["slow", "fast"] * 3
    assert found["slow"].median_ms == pytest.approx(1.0)
    assert found["fast"].median_ms == pytest.approx(0.1)


def test_a_disturbed_measurement_is_repeated_and_does_not_count() -> None:
    script = {"slow": [1.0, 1.0, 1.0, 3.0, 1.0, 2.0], "fast": [0.1]}
    device: Any = ScriptedDevice(script, unstable={1.0})
    found = time_side_by_side(device, {name: graph(name) for name in ("slow", "fast")})
    assert device.order == ["slow", "fast"] * 3 + ["slow"] * 3
    assert found["slow"].median_ms == pytest.approx(2.0)


def test_a_single_round_is_enough_where_no_more_were_asked_for() -> None:
    device: Any = ScriptedDevice({"slow": [9.0, 2.0], "fast": [0.1]}, unstable={9.0})
    graphs = {name: graph(name) for name in ("slow", "fast")}
    assert time_side_by_side(device, graphs, rounds=1)["slow"].median_ms == pytest.approx(2.0)
    assert device.order == ["slow", "fast", "slow"]


def test_a_slow_beginning_is_known_for_one_in_the_end() -> None:
    # The first two pass as the machine's best, until the third is seen.
    device: Any = ScriptedDevice(
        {"slow": [6.0, 4.0, 4.1], "fast": [3.0, 3.0, 3.0, 2.1, 2.0]},
        rulers_us=[6.0, 6.1, 4.0, 5.9, 4.0, 6.0, 4.1, 4.0],
    )
    found = time_side_by_side(device, {name: graph(name) for name in ("slow", "fast")})
    assert device.order == ["slow", "fast"] * 3 + ["fast"] * 2
    assert found["slow"].median_ms == pytest.approx(4.0)
    assert found["fast"].median_ms == pytest.approx(2.0)
    assert found["fast"].verdict.stable


def test_a_machine_that_stays_busy_is_said_to_be() -> None:
    device: Any = ScriptedDevice({"slow": [9.0]}, unstable={9.0})
    found = time_side_by_side(device, {"slow": graph("slow")})
    assert len(device.order) == ROUNDS + EXTRA_ROUNDS
    assert not found["slow"].verdict.stable


def test_a_program_that_cannot_be_measured_is_named() -> None:
    device: Any = ScriptedDevice({"best": [None]})
    with pytest.raises(BuildError, match="best cannot be measured: wrong result"):
        time_side_by_side(device, {"best": graph("best")})


def test_layer_table_document_keeps_every_row() -> None:
    table = LayerTable(
        source="measured",
        disturbed_share=0.0,
        times_us={"first": {(8, 8): 3.0, (4, 8): 2.0}},
        overhead_us=1.5,
    )
    document = to_plain(table)
    assert document["layers"] == {"first": {"8/8": 3.0, "4/8": 2.0}}
    assert (document["overhead_us"], document["source"]) == (1.5, "measured")
