"""Schedules that are never the default: the tile search may choose any, so each must be exact."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hardware.kernels.families.family import Family
from hardware.kernels.schedule.schedule import Schedule, candidates
from hardware.kernels.shapes.geometry import Geometry
from quant.deploy_graph import Conv2d, Epilogue, Linear, MatMul, Matrices
from tests.hardware.kernels.single_op import Bench, codes_of, make_layer, product_of

PAIRS = [(8, 8), (7, 8), (7, 7), (7, 6), (5, 7), (5, 5), (4, 4), (2, 3), (2, 2)]
"""One for each depth that families have, and for the table."""

PLAIN: dict[str, Any] = {
    "stride": (1, 1),
    "padding": (1, 1),
    "dilation": (1, 1),
    "groups": 1,
}
CASES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    # Input shape, weight shape, settings; the blocks of the first two outgrow a panel.
    "in panels": ((1, 6, 9, 96), (40, 3, 4, 96), PLAIN),
    "strided, in panels": ((2, 7, 7, 128), (33, 3, 3, 128), {**PLAIN, "stride": (2, 2)}),
    "narrow": ((1, 5, 11, 3), (19, 3, 3, 3), PLAIN),
    "dilated groups": ((1, 9, 8, 24), (48, 3, 2, 8), {**PLAIN, "dilation": (2, 2), "groups": 3}),
    "pixels": ((3, 4, 5, 52), (72, 1, 1, 52), {**PLAIN, "padding": (0, 0)}),
    "vector": ((2, 130), (45, 130), {}),
    "transformed": ((2, 17, 18, 36), (40, 3, 3, 36), PLAIN),
}


@contextmanager
def scheduled(bench: Bench, choose: Any) -> Iterator[None]:
    default = bench.schedule
    bench.schedule = choose
    try:
        yield
    finally:
        bench.schedule = default


PRODUCTS = {
    "keys": Matrices(groups=2, rows=19, depth=52, columns=37, turned=True),
    "values": Matrices(groups=2, rows=19, depth=37, columns=52, turned=False),
    "few columns": Matrices(groups=3, rows=5, depth=9, columns=6, turned=True),
}


def schedules_of(
    bench: Bench, op: Conv2d | Linear | MatMul, *codes: np.ndarray, out_dtype: str = "float32"
) -> tuple[Schedule, ...]:
    """Return every schedule of a layer or a product."""
    found: list[tuple[Schedule, ...]] = []

    def record(geometry: Geometry, family: Family) -> Schedule:
        found.append(candidates(geometry, family))
        return found[0][0]

    with scheduled(bench, record):
        bench.agrees(op, *codes, out_dtype=out_dtype)
    return found[0]


def extreme(op: Conv2d | Linear, sign: int) -> Conv2d | Linear:
    """Return a layer whose products are all the largest; its sums come out as they are."""
    channels = op.weight.shape[0]
    epilogue = Epilogue(
        bias=np.zeros(channels, np.int32), multiplier=np.ones(channels, np.float32), logits=True
    )
    weight = np.full(op.weight.shape, sign * (2 ** (op.weight_bits - 1) - 1), np.int8)
    return replace(op, weight=weight, epilogue=epilogue, input_zero_point=0)


def check(bench: Bench, case: str, pair: tuple[int, int], count: int) -> None:
    """Check some schedules besides the default on random and on extreme codes."""
    shape, weight_shape, settings = CASES[case]
    rng = np.random.default_rng([*pair, list(CASES).index(case)])
    codes = 2 ** pair[1]
    zero_point = int(rng.integers(0, codes))
    op = make_layer(rng, weight_shape, pair, out_dtype="int16", zero_point=zero_point, **settings)
    x = rng.integers(0, codes, shape, dtype=np.uint8)
    largest = np.full(shape, codes - 1, np.uint8)
    others = schedules_of(bench, extreme(op, 1), largest)[1:]
    # Half from the beginning, where the search looks, half from anywhere.
    near, far = others[: count // 2], others[count // 2 :]
    places = rng.permutation(len(far))[: count - len(near)]
    for schedule in (*near, *(far[place] for place in places)):
        with scheduled(bench, lambda *_, one=schedule: one):
            bench.agrees(op, x, out_dtype="int16")
            for sign in (1, -1):
                bench.agrees(extreme(op, sign), largest, out_dtype="float32")


@pytest.mark.parametrize("pair", PAIRS)
def test_schedules_besides_the_default_are_exact(pair: tuple[int, int], avx2: Bench) -> None:
    check(avx2, "in panels", pair, 2)


@pytest.mark.parametrize("case", ["narrow", "pixels"])
def test_schedules_of_every_family_are_exact(case: str, bench: Bench) -> None:
    check(bench, case, (5, 5), 2)


def check_product(bench: Bench, name: str, bits: tuple[int, int], count: int) -> None:
    """Check some schedules besides the default on random codes."""
    op = product_of(PRODUCTS[name], bits, (3, 2 ** bits[1] - 2), wide=True)
    codes = codes_of(op, batch=2)
    others = schedules_of(bench, op, *codes, out_dtype="int16")[1:]
    places = np.random.default_rng(0).permutation(len(others))[:count]
    for place in places:
        with scheduled(bench, lambda *_, one=others[place]: one):
            bench.agrees(op, *codes, out_dtype="int16")


@pytest.mark.parametrize("name", PRODUCTS)
def test_schedules_of_products_are_exact(name: str, bench: Bench) -> None:
    check_product(bench, name, (8, 8), 2)


@pytest.mark.slow
def test_many_schedules_of_products_are_exact(bench: Bench) -> None:
    for name in PRODUCTS:
        for bits in ((8, 8), (8, 6), (4, 4), (2, 3)):
            check_product(bench, name, bits, 4)


@pytest.mark.slow
@pytest.mark.parametrize("pair", [(4, 6), (4, 4), (2, 2)])
def test_schedules_of_transformed_layers_are_exact(pair: tuple[int, int], avx2: Bench) -> None:
    check(avx2, "transformed", pair, 2)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("case", CASES)
def test_many_schedules_are_exact(case: str, pair: tuple[int, int], avx2: Bench) -> None:
    check(avx2, case, pair, 6)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_many_schedules_of_every_family_are_exact(case: str, bench: Bench) -> None:
    check(bench, case, (6, 7), 6)
