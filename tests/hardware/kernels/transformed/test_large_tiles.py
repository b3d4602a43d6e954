"""Tiles of 3x3 outputs: which layers get them, and that their kernels are exact."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.kernels.families.family import Family
from hardware.kernels.families.transformed import (
    LargeTiles,
    choose_tiles,
    fits_bytes,
    largest_product,
)
from hardware.kernels.planning import choose_family as choosing
from hardware.kernels.schedule.schedule import Schedule, candidates
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.transformed_codes import TILES
from tests.hardware.kernels.single_op import Bench, make_layer
from tests.hardware.kernels.test_layers import few
from tests.hardware.kernels.test_winograd import check
from tests.hardware.kernels.transformed.extreme_places import CONV, extreme_places, sums_of

GEOMETRY = Geometry(
    batch=1, height=28, width=28, channels=128, out_channels=128, kernel=(3, 3), padding=(1, 1)
)
PAIRS = list(product(range(2, 9), range(2, 9)))
FEW_BITS = [(2, 2), (2, 3), (3, 2), (3, 3)]
ANYWHERE = LargeTiles(most_work=100.0, transform=0.0)
KINDS = ["avx2", "avx512-vnni", "avx-vnni", "neon", "arm-dot"]


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give every layer whose codes and weights fit the largest tiles."""
    for name in ("_LARGE_TILES", "_AVX2_LARGE_TILES"):
        monkeypatch.setattr(choosing, name, ANYWHERE)
    choosing.choose_family.cache_clear()
    yield
    choosing.choose_family.cache_clear()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")
def test_only_pairs_of_three_bits_or_fewer_fit(kind: Any, bits: tuple[int, int]) -> None:
    family = choosing.choose_family(kind, *bits, GEOMETRY)
    # Sums of 16 bits hold two steps of such products: nothing is gained there.
    pays = kind != "avx2" or bits != (3, 3)
    if bits in FEW_BITS and pays:
        assert family.tiles == ("3x3" if bits[0] == 2 else "3x3-split")
    else:
        assert family.tiles in ("", "2x2")
    for form in ("uint8", "int8"):
        fits = {name: fits_bytes(*bits, 128, name, form) for name in TILES}
        assert fits["3x3-split"] == (bits in FEW_BITS)
        assert fits["3x3"] == (bits in FEW_BITS and bits[0] == 2)


def test_small_images_and_few_channels_keep_small_tiles() -> None:
    def tiles(**changes: Any) -> str:
        return choosing.choose_family("arm-dot", 3, 3, replace(GEOMETRY, **changes)).tiles

    assert tiles() == tiles(height=14, width=14) == "3x3-split"
    # Three rows of tiles for eight of outputs; two for four.
    assert tiles(height=8, width=8) == tiles(height=4, width=4) == "2x2"
    assert tiles(channels=32, out_channels=32) == "2x2"


def test_a_family_is_as_deep_as_its_products_allow() -> None:
    for kind, bits in product(("avx2", "neon"), FEW_BITS):
        family = choosing.choose_family(kind, *bits, GEOMETRY)
        pair = 2 * largest_product(*bits, family.tiles, family.code_form)
        assert 1 <= family.depth <= 32767 // pair


def test_sums_that_32_bits_might_not_hold_keep_small_tiles() -> None:
    few_enough = replace(GEOMETRY, channels=512)
    assert choose_tiles(3, 3, few_enough, "uint8", ANYWHERE) == "3x3-split"
    many = replace(GEOMETRY, channels=100_000)
    assert choose_tiles(3, 3, many, "uint8", ANYWHERE) == "2x2"


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "batch": draw(st.sampled_from([1, 1, 3])),
        "size": (draw(st.integers(6, 13)), draw(st.integers(6, 13))),
        "channels": draw(st.integers(32, 100)),
        "out_channels": draw(st.integers(32, 100)),
        "padding": (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        "bits": draw(st.sampled_from(FEW_BITS)),
        "out_dtype": draw(st.sampled_from(["uint8", "int16", "float32"])),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("seed", range(4))
def test_convolutions_agree(seed: int, bench: Bench) -> None:
    rng = np.random.default_rng(seed)
    size = [int(value) for value in rng.integers(6, 14, 2)]
    case = {
        "batch": 1 + 2 * (seed == 0),
        "size": size,
        "channels": int(rng.integers(32, 101)),
        "out_channels": int(rng.integers(32, 101)),
        "padding": (1, seed % 3),
        "bits": FEW_BITS[seed],
        "out_dtype": ["uint8", "int16", "float32", "uint8"][seed],
        "seed": seed,
    }
    check(case, bench)


@pytest.mark.slow
@settings(few, max_examples=40)
@given(case=convolutions())
def test_many_convolutions_agree(case: dict[str, Any], bench: Bench) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_LARGE_TILES", "_AVX2_LARGE_TILES"):
            patch.setattr(choosing, name, ANYWHERE)
        choosing.choose_family.cache_clear()
        check(case, bench)
    choosing.choose_family.cache_clear()


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("bits", FEW_BITS)
def test_no_place_overflows(bits: tuple[int, int], bench: Bench) -> None:
    op, x = extreme_places(TILES["3x3-split" if bits[0] == 3 else "3x3"], bits, 136)
    family = bench.plan(op, [x], (len(x), 8, 8, op.weight.shape[0]), "float32").family
    assert "winograd3" in family or bench.target.family == "generic"
    bench.agrees(op, x, out_dtype="float32")


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bits", FEW_BITS)
def test_the_largest_sums_fit(bits: tuple[int, int], sign: int, bench: Bench) -> None:
    op = make_layer(np.random.default_rng(0), (32, 3, 3, 512), bits, **CONV)
    op = sums_of(op, np.array(sign * (2 ** (bits[0] - 1) - 1)))
    x = np.full((1, 6, 6, 512), 2 ** bits[1] - 1, np.uint8)
    bench.agrees(op, x, out_dtype="float32")


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("bits", [(2, 2), (3, 3)])
def test_weights_that_the_kernel_transforms_agree(
    bits: tuple[int, int], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def schedule(geometry: Geometry, family: Family) -> Schedule:
        one = next(one for one in candidates(geometry, family) if one.tile_vectors == 1)
        return replace(one, transforms_weights=family.winograd)

    monkeypatch.setattr(bench, "schedule", schedule)
    rng = np.random.default_rng(0)
    op = make_layer(rng, (41, 3, 3, 51), bits, zero_point=1, **CONV)
    x = rng.integers(0, 2 ** bits[1], (2, 9, 12, 51), dtype=np.uint8)
    bench.agrees(op, x, out_dtype="uint8")
