"""Which family a bit pair gets, and that families are different machine code."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tvm

from hardware.kernels.families.avx2 import Avx2Bytes
from hardware.kernels.families.avx2_table import Avx2Table
from hardware.kernels.planning import layers
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.schedule.schedule import candidates, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from tests.hardware.kernels.single_op import Bench, make_layer

PAIRS = [(weight, activation) for weight in range(2, 9) for activation in range(2, 9)]


CONV = Geometry(
    batch=1, height=16, width=16, channels=32, out_channels=32, kernel=(3, 3), stride=(2, 2)
)
"""Strided, so that no family transforms it (see `test_winograd`)."""


@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_a_family_is_exact_for_its_bits(bits: tuple[int, int]) -> None:
    family = choose_family("avx2", *bits, CONV)
    largest_code, largest_weight = 2 ** bits[1] - 1, 2 ** (bits[0] - 1) - 1
    pair = 2 * largest_code * largest_weight  # what pmaddubsw adds at most
    if isinstance(family, Avx2Table):
        assert largest_weight == 1
        assert family.depth * (2 * largest_code + family.step_bias()) <= 255
    elif family.depth == 0:
        assert pair > 32767
        assert family.code_dtype == family.weight_dtype == "int16"
    else:
        assert family.depth * pair <= 32767


def test_only_eight_by_eight_needs_sixteen_bit_codes() -> None:
    assert [bits for bits in PAIRS if choose_family("avx2", *bits, CONV).depth == 0] == [(8, 8)]


def test_ternary_weights_and_few_codes_are_looked_up() -> None:
    looked_up = [
        bits for bits in PAIRS if isinstance(choose_family("avx2", *bits, CONV), Avx2Table)
    ]
    assert looked_up == [(2, 2), (2, 3)]


@pytest.mark.parametrize(
    "geometry",
    [
        replace(CONV, channels=33),  # pairs of codes would differ from pixel to pixel
        replace(CONV, out_channels=8),  # most of a vector of channels would be empty
        replace(CONV, channels=1046),  # 16 bits do not hold the sum at 3 bits
    ],
)
def test_no_table_where_it_does_not_fit(geometry: Geometry) -> None:
    assert isinstance(choose_family("avx2", 2, 3, geometry), Avx2Bytes)


@pytest.mark.parametrize("channels", [1, 3, 16, 25, 64])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 7), (5, 5), (7, 7)])
def test_no_chunk_is_deeper_than_its_family(channels: int, kernel: tuple[int, int]) -> None:
    geometry = Geometry(
        batch=1,
        height=9,
        width=9,
        channels=channels,
        out_channels=24,
        kernel=kernel,
        stride=CONV.stride,
    )
    for bits in PAIRS:
        family = choose_family("avx2", *bits, geometry)
        for schedule in candidates(geometry, family):
            steps = schedule.chunk_iterations * schedule.inside_runs * schedule.inside_positions
            if family.depth:
                assert steps <= family.depth
            assert geometry.runs % schedule.inside_runs == 0
            assert schedule.positions * family.products >= geometry.run_codes


def test_three_input_channels_waste_little() -> None:
    geometry = Geometry(batch=1, height=9, width=9, channels=3, out_channels=16, kernel=(3, 3))
    family = choose_family("avx2", 4, 8, geometry)
    steps = make_schedule(geometry, family).steps(geometry)
    assert steps * family.products <= 1.4 * 27


def _assembly(bench: Bench, bits: int) -> str:
    conv: dict[str, Any] = {
        "stride": CONV.stride,
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
    }
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 32), (bits, bits), **conv)
    plan = bench.plan(op, [np.zeros((1, 8, 8, 32), np.uint8)], (1, 4, 4, 32), "uint8")
    module = tvm.IRModule({"layer": plan.build("layer")})
    return str(tvm.tirx.build(module, bench.target.tvm_target()).inspect_source("asm"))


def test_eight_seven_and_six_bits_are_different_instructions(avx2: Bench) -> None:
    eight, seven, six = (_assembly(avx2, bits) for bits in (8, 7, 6))
    assert "vpmaddwd" in eight
    assert "vpmaddubsw" not in eight
    multiplies = [text.count("vpmaddubsw") for text in (seven, six)]
    widens = [text.count("vpmaddwd") for text in (seven, six)]
    assert min(multiplies) > 0
    # Six bits add several products in 16 bits before they are widened; seven bits fewer.
    assert widens[0] / multiplies[0] > widens[1] / multiplies[1]
    assert "vpdp" not in eight + seven + six  # a family keeps to what it is named after


@pytest.mark.parametrize("parallel", [False, True])
def test_spilled_vectors_cross_no_cache_line(
    parallel: bool, avx2: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "is_shared", lambda *_: parallel)
    assembly = _assembly(avx2, 8)
    assert re.search(r"andq\s+\$-64, %rsp", assembly)
    # Every vector that is read back is where an aligned instruction may read it.
    place = r"-?\d*\(%r[sb]p\)"
    assert re.search(rf"vmov(ap|dqa)\S*\s+%ymm\d+, {place}", assembly)
    assert not re.search(rf"vmov(up|dqu)\S*\s+{place}, %ymm", assembly)
