"""Transformed layers on the board: random shapes, and codes and weights that fill every place."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from hardware.kernels.families.family import Family
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.family_choices import family_choices
from hardware.kernels.schedule.schedule import Schedule, candidates, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transformed_codes import TILES
from tests.emulated_board.arm_bench import ArmBench
from tests.emulated_board.board import EmulatedBoard
from tests.hardware.kernels.single_op import make_layer
from tests.hardware.kernels.test_layers import few
from tests.hardware.kernels.test_winograd import WORDS, check, convolutions
from tests.hardware.kernels.transformed import test_strided as strided
from tests.hardware.kernels.transformed.extreme_places import CONV, extreme_places, sums_of

pytestmark = pytest.mark.board

PAIRS = [(4, 6), (4, 5), (4, 4), (3, 4), (4, 3), (3, 3), (2, 3), (3, 2), (2, 2)]
"""Transformed to signed bytes; codes of 6 bits need an offset."""


@pytest.fixture(scope="session")
def arm(bench: ArmBench) -> ArmBench:
    """A core whose families transform."""
    if bench.target.family == "generic":
        pytest.skip("the family for every target transforms nothing")
    return bench


@pytest.fixture(scope="session")
def board_words(board: EmulatedBoard, build_folder: Path) -> Iterator[ArmBench]:
    """A core without dot product that transforms to words wherever that is exact."""
    arm = ArmBench(board, build_folder, "cortex-a72", "neon")
    arm.family = in_words
    with arm.process:
        yield arm


@settings(few, max_examples=12)
@given(case=convolutions())
def test_convolutions_agree(case: dict[str, Any], arm: ArmBench) -> None:
    check(case, arm)


@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_no_place_overflows(bits: tuple[int, int], arm: ArmBench) -> None:
    geometry = Geometry(batch=1, height=10, width=10, channels=136, out_channels=32, kernel=(3, 3))
    family = choose_family(arm.target.family, *bits, geometry)
    op, x = extreme_places(family.transform, bits, 136)
    arm.agrees(op, x, out_dtype="float32")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", [(4, 4), (4, 6), (2, 2), (3, 3)])
def test_the_largest_sums_fit(bits: tuple[int, int], sign: int, arm: ArmBench) -> None:
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 512), bits, **CONV)
    op = sums_of(op, np.array(sign * (2 ** (bits[0] - 1) - 1)))
    x = np.full((1, 6, 6, 512), 2 ** bits[1] - 1, np.uint8)
    arm.agrees(op, x, out_dtype="float32")


@pytest.mark.parametrize("bits", [(4, 4), (4, 6), (3, 3)])
def test_weights_that_the_kernel_transforms_agree(
    bits: tuple[int, int], arm: ArmBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def schedule(geometry: Geometry, family: Family) -> Schedule:
        assert family.winograd
        return replace(candidates(geometry, family)[0], transforms_weights=True)

    monkeypatch.setattr(arm, "schedule", schedule)
    rng = np.random.default_rng(1)
    op = make_layer(rng, (72, 3, 3, 99), bits, zero_point=1, **CONV)
    x = rng.integers(0, 2 ** bits[1], (1, 12, 12, 99), dtype=np.uint8)
    arm.agrees(op, x, out_dtype="uint8")


def test_tiles_beside_the_default_agree(arm: ArmBench, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    op = make_layer(rng, (48, 3, 3, 52), (4, 4), zero_point=3, **CONV)
    x = rng.integers(0, 16, (1, 8, 9, 52), dtype=np.uint8)
    for place in (1, 2, 5):
        monkeypatch.setattr(arm, "schedule", lambda *which, p=place: candidates(*which)[p])
        arm.agrees(op, x, out_dtype="int16")
    monkeypatch.setattr(arm, "schedule", make_schedule)


@settings(few, max_examples=10)
@given(case=strided.convolutions())
def test_strided_convolutions_agree(case: dict[str, Any], arm: ArmBench) -> None:
    with strided.phases(arm):
        check(case, arm)


@pytest.mark.parametrize("bits", [(6, 6), (4, 4), (2, 6)], ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_no_place_of_a_phase_overflows(bits: tuple[int, int], arm: ArmBench) -> None:
    op, x = extreme_places(TILES["strided"], bits, 72)
    with strided.phases(arm):
        family = arm.plan(op, [x], (len(x), 4, 4, op.weight.shape[0]), "float32").family
        assert "strided" in family
        arm.agrees(op, x, out_dtype="float32")


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_of_phases_fit(sign: int, arm: ArmBench) -> None:
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 512), (6, 6), **strided.STRIDED)
    op = sums_of(op, np.array(sign * 31))
    with strided.phases(arm):
        arm.agrees(op, np.full((1, 9, 10, 512), 63, np.uint8), out_dtype="float32")


def in_words(*layer: Any) -> Family:
    """Return the family that transforms to words where there is one, whatever pays."""
    words = (one for one in family_choices(*layer) if one.name == "neon-winograd-w8")
    return next(words, choose_family(*layer))


@settings(few, max_examples=8)
@given(case=convolutions().filter(lambda case: case["bits"] in WORDS))
def test_convolutions_in_words_agree(case: dict[str, Any], board_words: ArmBench) -> None:
    check(case, board_words)


@pytest.mark.parametrize("bits", [(8, 8), (7, 8), (5, 5)])
def test_no_place_of_words_overflows(bits: tuple[int, int], board_words: ArmBench) -> None:
    op, x = extreme_places(TILES["2x2"], bits, 136)
    family = board_words.plan(op, [x], (len(x), 6, 6, op.weight.shape[0]), "float32").family
    assert family == "neon-winograd-w8"
    board_words.agrees(op, x, out_dtype="float32")


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_of_words_fit(sign: int, board_words: ArmBench) -> None:
    # Four times the outputs nearly fill 32 bits.
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 1841), (8, 8), **CONV)
    op = sums_of(op, np.array(sign * 127))
    board_words.agrees(op, np.full((1, 4, 4, 1841), 255, np.uint8), out_dtype="float32")
