"""Arm families: the instructions that each bit pair gets, and that none of its sums overflows."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tvm

from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.arm_dot import ArmDot
from hardware.kernels.families.arm_packed import ArmDotPacked, NeonPacked
from hardware.kernels.families.neon import NeonBytes, NeonWords
from hardware.kernels.families.neon_table import NeonTable
from hardware.kernels.planning.choose_family import choose_depthwise, choose_family
from hardware.kernels.products.depthwise_neon import NeonDepthwise
from hardware.kernels.schedule.schedule import candidates, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from tests.hardware.kernels.single_op import Bench, make_layer

PAIRS = [(weight, activation) for weight in range(2, 9) for activation in range(2, 9)]
CONV = Geometry(
    batch=1, height=16, width=16, channels=32, out_channels=32, kernel=(3, 3), padding=(1, 1)
)
MULTIPLIES_OR_WIDENS = re.compile(
    r"^\s+(smlal2?|smull2?|sadalp|mla|mul|sdot|tbl)\s+v", re.MULTILINE
)


def _largest_product(bits: tuple[int, int]) -> int:
    code = 128 if bits[1] == 8 else (1 << bits[1]) - 1
    return code * ((1 << (bits[0] - 1)) - 1)


@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_no_lane_can_overflow(bits: tuple[int, int]) -> None:
    family, product = choose_family("neon", *bits, CONV, "none"), _largest_product(bits)
    if isinstance(family, NeonTable):
        # A looked-up byte is the sum of two products and an offset as large.
        assert family.depth * 2 * family.step_bias() <= 255
        return
    assert family.code_dtype == ("int8" if bits[1] == 8 else "uint8")
    if isinstance(family, NeonBytes):
        assert family.depth * product <= 127
        steps = CONV.kernel[0] * CONV.run_codes // family.products
        assert 2 * steps * product <= 2 * family.most_steps * product <= 32767
    else:
        assert isinstance(family, NeonWords)
        # A lane gets one product of every eight codes of a step.
        assert family.depth * (family.products // 8) * product <= 32767


def test_bytes_are_for_pairs_whose_products_fit_twice() -> None:
    few_channels = replace(CONV, out_channels=8)  # too few for a table
    in_bytes = {
        bits for bits in PAIRS if isinstance(choose_family("neon", *bits, few_channels), NeonBytes)
    }
    assert in_bytes == {bits for bits in PAIRS if 2 * _largest_product(bits) <= 127}
    assert {(2, 2), (3, 3), (2, 6), (5, 2)} <= in_bytes


def test_ternary_weights_and_few_codes_are_looked_up() -> None:
    looked_up = [
        bits for bits in PAIRS if isinstance(choose_family("neon", *bits, CONV, "none"), NeonTable)
    ]
    assert looked_up == [(2, 2), (2, 3)]


def test_a_sum_that_words_do_not_hold_is_not_taken_in_bytes() -> None:
    long = Geometry(batch=1, height=1, width=1, channels=16 * 781, out_channels=8)
    assert isinstance(choose_family("neon", 3, 3, long), NeonWords)


@pytest.mark.parametrize("kind", ["neon", "arm-dot"])
@pytest.mark.parametrize("channels", [1, 3, 8, 24, 25, 64, 512])
def test_no_chunk_is_deeper_than_its_family(kind: str, channels: int) -> None:
    geometry = Geometry(
        batch=1, height=9, width=9, channels=channels, out_channels=24, kernel=(3, 3)
    )
    for bits in PAIRS:
        family = choose_family(kind, *bits, geometry)
        for schedule in candidates(geometry, family):
            steps = schedule.chunk_iterations * schedule.inside_runs * schedule.inside_positions
            assert not family.depth or steps <= family.depth
            assert schedule.positions * family.products >= geometry.run_codes


@pytest.mark.parametrize(("channels", "products"), [(16, 16), (24, 8), (12, 4), (3, 4)])
def test_dot_product_steps_waste_no_group_of_four(channels: int, products: int) -> None:
    geometry = Geometry(batch=1, height=1, width=9, channels=channels, out_channels=16)
    family = choose_family("arm-dot", 8, 8, geometry)
    assert isinstance(family, ArmDot)
    assert family.products == products


class _Planner(Bench):
    """Plans layers that are not transformed, for a core that is not here."""

    def __init__(self, mcpu: str, family: Any) -> None:
        config = TargetConfig(mcpu=mcpu, family=family, transform="none")
        self.target = KernelTarget.of(config, "aarch64-linux-gnu")
        self.schedule, self.family = make_schedule, choose_family


def _instructions(mcpu: str, bits: tuple[int, int], family: str = "auto") -> Counter[str]:
    """Return how often each vector instruction stands in one convolution's machine code."""
    bench = _Planner(mcpu, family)
    conv: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 64), bits, **conv)
    plan = bench.plan(op, [np.zeros((1, 8, 8, 64), np.uint8)], (1, 8, 8, 32), "uint8")
    module = tvm.tirx.build(tvm.IRModule({"k": plan.build("k")}), bench.target.tvm_target())
    return Counter(MULTIPLIES_OR_WIDENS.findall(str(module.inspect_source("asm"))))


def test_eight_bits_are_widened_after_two_products_and_fewer_bits_later() -> None:
    eight, seven, six, four = (_instructions("cortex-a72", (b, b)) for b in (8, 7, 6, 4))
    for found in (eight, seven, six, four):
        assert found["sdot"] == found["mla"] == 0
    products = [sum(f[n] for n in ("smlal", "smlal2", "smull", "smull2")) for f in (eight, seven)]
    assert products[0] == 2 * eight["sadalp"]
    assert products[1] >= 3 * seven["sadalp"]
    # Six and four bits leave the inmost loop before they are widened.
    assert eight["sadalp"] > seven["sadalp"] > six["sadalp"] >= four["sadalp"]


def test_three_bits_multiply_sixteen_bytes_at_once() -> None:
    found = _instructions("cortex-a72", (3, 3))
    assert found["mla"] + found["mul"] > 0
    assert found["smlal"] == found["smull"] == 0
    # Six products a lane are added up in 8 bits: one widening for them, a few more at the end.
    assert found["sadalp"] < (found["mla"] + found["mul"]) / 2


def test_two_bits_multiply_nothing() -> None:
    found = _instructions("cortex-a72", (2, 2))
    assert found["tbl"] > 0
    assert found["mla"] + found["smlal"] + found["smull"] == 0


def test_cores_with_dot_product_use_nothing_else_unless_told() -> None:
    found = _instructions("cortex-a76", (8, 8))
    assert set(found) == {"sdot"}
    assert _instructions("cortex-a76", (8, 8), "neon")["sdot"] == 0


@pytest.mark.parametrize(
    ("features", "products"), [(64, (32, 32)), (1032, (8, 16)), (48, (16, 16)), (3, (8, 16))]
)
def test_one_vector_reads_no_byte_in_vain(features: int, products: tuple[int, int]) -> None:
    dense = Geometry(batch=1, height=1, width=1, channels=features, out_channels=16)
    of_bits = {2: products[1], 3: products[0], 4: products[0], 5: 32, 6: products[1], 7: 32}
    for bits in PAIRS:
        family = choose_family("arm-dot", *bits, dense)
        assert isinstance(family, ArmDotPacked) == (bits[0] < 8)
        if isinstance(family, ArmDotPacked):
            # 3 bits take half a byte each: taking them out of less needs more instructions.
            stored = 4 if bits[0] == 3 else bits[0]
            assert family.products == of_bits[bits[0]]
            assert 8 * family.vector_bytes == stored * family.products * family.channels
            assert family.name == f"arm-dot-p{stored}"
    # With more images, weights are used again and again.
    assert not isinstance(choose_family("arm-dot", 4, 4, replace(dense, batch=2)), ArmDotPacked)
    too_long = replace(dense, channels=200_000)
    assert not isinstance(choose_family("arm-dot", 4, 8, too_long), ArmDotPacked)


@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_one_vector_reads_no_byte_in_vain_without_dot_product(bits: tuple[int, int]) -> None:
    dense = Geometry(batch=1, height=1, width=1, channels=512, out_channels=1000)
    family = choose_family("neon", *bits, dense)
    is_table = bits in ((2, 2), (2, 3))
    assert isinstance(family, NeonPacked) == (bits[0] < 8 and not is_table)
    if isinstance(family, NeonPacked):
        assert 8 * family.vector_bytes == bits[0] * family.products * family.channels
        # A lane gets one product of every eight codes of a step.
        assert family.depth * (family.products // 8) * _largest_product(bits) <= 32767
    assert not isinstance(choose_family("neon", *bits, replace(dense, batch=2)), NeonPacked)


@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_unsigned_codes_get_a_depthwise_kernel_where_16_bits_hold_a_few(weight_bits: int) -> None:
    family = choose_depthwise("neon", weight_bits, 8, 9, 32)
    if weight_bits > 6:
        assert family.name == "generic"
        return
    assert isinstance(family, NeonDepthwise)
    assert not family.signed
    assert (family.depth or 9) * 255 * (2 ** (weight_bits - 1) - 1) <= 32767
    assert choose_depthwise("neon", weight_bits, 7, 9, 32).name != family.name
