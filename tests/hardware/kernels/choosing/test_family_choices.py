"""The families that a tile search may take: all of them exact, the rule's first."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.family_choices import family_choices
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import KernelFamily
from tests.hardware.kernels.single_op import Bench, make_layer

KINDS: tuple[KernelFamily, ...] = (
    "amx",
    "avx512-vnni",
    "avx-vnni",
    "avx2",
    "arm-dot",
    "neon",
    "generic",
)
PAIRS = [(weight, activation) for weight in range(2, 9) for activation in range(2, 9)]
CONV = Geometry(
    batch=1, height=14, width=14, channels=64, out_channels=64, kernel=(3, 3), padding=(1, 1)
)
SHAPES = {
    "conv3x3": CONV,
    "strided": replace(CONV, stride=(2, 2)),
    "few channels": replace(CONV, channels=3, out_channels=16),
    "conv1x1": replace(CONV, kernel=(1, 1), padding=(0, 0)),
    "dense": replace(CONV, height=1, width=1, kernel=(1, 1), padding=(0, 0), channels=512),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_rule_comes_first_and_no_family_twice(kind: KernelFamily, shape: str) -> None:
    for bits in PAIRS:
        for transform in ("words", "bytes", "none"):
            found = family_choices(kind, *bits, SHAPES[shape], transform)
            assert found[0] == choose_family(kind, *bits, SHAPES[shape], transform)
            names = [family.name for family in found]
            assert len(set(names)) == len(names) <= 5
            assert transform != "none" or not any(family.winograd for family in found)


def test_wide_codes_on_dot_products_have_nothing_to_choose() -> None:
    for kind in ("avx512-vnni", "avx-vnni", "arm-dot"):
        for bits in ((8, 8), (6, 6), (5, 8)):
            assert len(family_choices(kind, *bits, CONV)) == 1


def test_tables_are_tried_beside_vnni() -> None:
    names = [family.name for family in family_choices("avx512-vnni", 2, 2, SHAPES["conv1x1"])]
    assert names == ["avx512-vnni", "avx2-table2"]
    names = [family.name for family in family_choices("avx512-vnni", 2, 3, SHAPES["dense"])]
    assert names == ["avx512-vnni-p2", "avx2-half-table3"]


@pytest.mark.parametrize("bits", [(2, 2), (2, 3), (3, 3), (3, 8), (4, 4), (4, 6), (6, 8), (8, 8)])
@pytest.mark.parametrize("kind", ["conv", "dense"])
def test_every_family_is_exact(bits: tuple[int, int], kind: str, avx2: Bench) -> None:
    rng = np.random.default_rng(1)
    conv: dict[str, Any] = {
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
    }
    largest = 2 ** (bits[0] - 1) - 1
    if kind == "conv":
        op = make_layer(rng, (33, 3, 3, 32), bits, zero_point=1, out_dtype="float32", **conv)
        x = rng.integers(0, 2 ** bits[1], (1, 10, 9, 32), dtype=np.uint8)
    else:
        op = make_layer(rng, (64, 200), bits, zero_point=1, out_dtype="float32")
        x = rng.integers(0, 2 ** bits[1], (1, 200), dtype=np.uint8)
    seen: list[str] = []

    def number(index: int) -> Any:
        def choose(*layer: Any) -> Any:
            found = family_choices(*layer)
            seen[:] = [family.name for family in found]
            return found[min(index, len(found) - 1)]

        return choose

    try:
        for index in range(5):
            avx2.family = number(index)
            for weight in (op.weight, np.full_like(op.weight, -largest)):
                layer = replace(op, weight=weight)
                avx2.agrees(layer, x, out_dtype="float32")
                avx2.agrees(layer, np.full_like(x, 2 ** bits[1] - 1), out_dtype="float32")
            if index + 1 >= len(seen):
                break
    finally:
        avx2.family = choose_family
    assert seen
