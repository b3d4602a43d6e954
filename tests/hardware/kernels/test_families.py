"""Which family a bit pair gets, and that families are different machine code."""

import numpy as np
import pytest
import tvm

from hardware.kernels.families import choose_family
from hardware.kernels.geometry import Geometry
from hardware.kernels.schedule import make_schedule
from tests.hardware.kernels.single_op import Bench, make_layer

PAIRS = [(weight, activation) for weight in range(2, 9) for activation in range(2, 9)]


@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_a_family_is_exact_for_its_bits(bits: tuple[int, int]) -> None:
    family = choose_family("avx2", *bits)
    pair = 2 * (2 ** bits[1] - 1) * (2 ** (bits[0] - 1) - 1)  # what pmaddubsw adds at most
    if family.depth == 0:
        assert pair > 32767
        assert family.code_dtype == family.weight_dtype == "int16"
    else:
        assert family.depth * pair <= 32767


def test_only_eight_by_eight_needs_sixteen_bit_codes() -> None:
    assert [bits for bits in PAIRS if choose_family("avx2", *bits).depth == 0] == [(8, 8)]


@pytest.mark.parametrize("channels", [1, 3, 16, 25, 64])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (1, 7), (5, 5)])
def test_no_chunk_is_deeper_than_its_family(channels: int, kernel: tuple[int, int]) -> None:
    geometry = Geometry(
        batch=1, height=9, width=9, channels=channels, out_channels=24, kernel=kernel
    )
    for bits in PAIRS:
        family = choose_family("avx2", *bits)
        schedule = make_schedule(geometry, family)
        if family.depth:
            assert schedule.chunk_runs * schedule.chunk_steps <= family.depth
        assert geometry.runs % schedule.chunk_runs == 0
        assert schedule.chunk_steps % schedule.unroll == 0
        assert schedule.run_steps * family.products >= geometry.run_codes


def test_fewer_steps_between_widenings_take_a_smaller_tile() -> None:
    geometry = Geometry(
        batch=1, height=16, width=16, channels=32, out_channels=32, kernel=(3, 3), padding=(1, 1)
    )
    sums = {}
    for bits in (8, 7, 6, 4):
        s = make_schedule(geometry, choose_family("avx2", bits, bits))
        sums[bits] = s.tile_rows * s.tile_columns * s.tile_vectors
    assert sums == {8: 8, 7: 8, 6: 4, 4: 8}


def test_three_input_channels_waste_little() -> None:
    geometry = Geometry(batch=1, height=9, width=9, channels=3, out_channels=16, kernel=(3, 3))
    family = choose_family("avx2", 4, 8)
    steps = make_schedule(geometry, family).run_steps * geometry.runs
    assert steps * family.products <= 1.4 * 27


def _assembly(bench: Bench, bits: int) -> str:
    conv = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 32), (bits, bits), **conv)
    plan = bench.plan(op, [np.zeros((1, 8, 8, 32), np.uint8)], (1, 8, 8, 32), "uint8")
    module = tvm.IRModule({"layer": plan.build("layer")})
    return str(tvm.tirx.build(module, bench.target.tvm_target()).inspect_source("asm"))


def test_eight_seven_and_six_bits_are_different_instructions(auto: Bench) -> None:
    if auto.target.family != "avx2":
        pytest.skip("this CPU has no AVX2")
    eight, seven, six = (_assembly(auto, bits) for bits in (8, 7, 6))
    assert "vpmaddwd" in eight
    assert "vpmaddubsw" not in eight
    multiplies = [text.count("vpmaddubsw") for text in (seven, six)]
    widens = [text.count("vpmaddwd") for text in (seven, six)]
    assert min(multiplies) > 0
    # Six bits add several products in 16 bits before they are widened; seven bits fewer.
    assert widens[0] / multiplies[0] > widens[1] / multiplies[1]
    assert "vpdp" not in eight + seven + six  # a family keeps to what it is named after
