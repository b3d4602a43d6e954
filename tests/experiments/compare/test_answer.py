"""Which of a method's candidates answers, where timings change between the search and the end."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from env.decisions.budget import Budget
from experiments.compare import answer
from experiments.compare.answer import Timed, first_inside
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.resource_budget import DecidedBudget
from hardware.device import Device
from quant.allocation import Allocation
from quant.layers import LayerSpec
from tests.agents.instances import random_layers
from tests.experiments.evaluations import measurement


def timed_as(
    ms: Mapping[Allocation, float], all_8_ms: float, monkeypatch: pytest.MonkeyPatch
) -> list[Allocation]:
    """Time by a list from here on; return what is asked for, as it is."""
    asked: list[Allocation] = []

    def time(allocation: Allocation, *_: object) -> Timed:
        asked.append(allocation)
        return Timed(
            allocation=allocation,
            measurement=measurement(ms[allocation]),
            all_8=measurement(all_8_ms),
        )

    monkeypatch.setattr(answer, "time_beside_all_8", time)
    return asked


def setup_of(layers: tuple[LayerSpec, ...]) -> NetworkSetup:
    return cast("NetworkSetup", SimpleNamespace(network=SimpleNamespace(layers=layers)))


def test_candidates_near_the_edge_hide_none_that_is_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = random_layers(np.random.default_rng(0))
    candidates = [Allocation.uniform(layers, 4, activation_bits=bits) for bits in range(2, 9)]
    candidates += [Allocation.uniform(layers, 3, activation_bits=bits) for bits in range(2, 9)]
    share = DecidedBudget(
        budget=Budget(latency_ms=0.202), reason="a share", latency_shares={8: 0.687}
    )
    ms = dict.fromkeys(candidates, 0.199)
    ms[candidates[10]] = 0.186
    device = cast("Device", None)
    asked = timed_as(ms, 0.28, monkeypatch)
    found = first_inside(candidates, share, setup_of(layers), device)
    assert found is not None
    assert found.allocation == candidates[10]
    assert asked == candidates[:11]
    asked = timed_as(ms, 0.26, monkeypatch)
    assert first_inside(candidates, share, setup_of(layers), device) is None
    assert asked == candidates
    timed_as(ms, 0.294, monkeypatch)
    first = first_inside(candidates, share, setup_of(layers), device)
    assert first is not None
    assert first.allocation == candidates[0]
