"""Stamped programs: the same outputs, a time for every layer, and nothing lost between them."""

from pathlib import Path

import numpy as np
import pytest

from hardware.graph.spread_choices import spread_choices
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from hardware.worker.program.stamps import steps_us
from hardware.worker.workbench import Workbench
from tests.hardware.graphs import digits_like, zoo

SHORT = ProtocolConfig(repeats=5, warmups=1, min_repeat_ms=2.0)


@pytest.fixture(scope="module")
def bench(kernel_folder: Path) -> Workbench:
    return Workbench(TargetConfig(kernel_cache=str(kernel_folder)), 1)


def test_layers_take_a_part_of_the_whole_each(bench: Workbench) -> None:
    for graph in (digits_like(), zoo()):
        (timing, layers_us), reading = bench.time_layers(graph, SHORT, np.inf, 0.0)
        assert list(layers_us) == [op.layer for op in graph.layer_ops()]
        assert all(taken > 0 for taken in layers_us.values())
        # Stamps are not part of what they time; a busy machine may slow either by half.
        assert sum(layers_us.values()) < 2000 * np.median(timing.values_ms)
        assert reading.before_us > 0


def test_a_layer_of_more_products_takes_longer(bench: Workbench) -> None:
    (_, layers_us), _ = bench.time_layers(digits_like(), SHORT, np.inf, 0.0)
    sizes = {op.layer: op.weight.size for op in digits_like().layer_ops()}
    assert layers_us["layer2"] > layers_us["layer7"], sizes


def test_no_step_takes_less_than_nothing() -> None:
    slow = 0.25  # of the stamps at the beginning; a step of 0.1 seems to take less
    taken_us = steps_us(np.cumsum([[0.0, slow, 0.1, 5.0]] * 3, axis=1))
    assert (taken_us[:, 0] > 0).all()
    np.testing.assert_allclose(taken_us[:, 1], 5.0 - slow)


def test_choices_are_spread_evenly_and_ties_hold() -> None:
    graph, widths = zoo(), (2, 4, 8)
    chosen = list(spread_choices(graph, widths, equal_bits=False, seed=0))
    assert len(chosen) == 9
    for op in graph.layer_ops():
        pairs = [one[op.layer] for one in chosen]
        assert {pairs.count(pair) for pair in pairs} in ({1}, {3})  # 3: fixed activations
        same = [other.layer for other in graph.layer_ops() if other.input == op.input]
        assert all(one[layer][1] == one[op.layer][1] for one in chosen for layer in same)
    equal = list(spread_choices(graph, widths, equal_bits=True, seed=0))
    assert len(equal) == 3
    assert all(weight == bits or bits == 8 for one in equal for weight, bits in one.values())
