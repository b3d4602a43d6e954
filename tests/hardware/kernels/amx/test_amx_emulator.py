"""The emulator itself: it computes by the definition, and refuses what a real CPU would."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm

from hardware.kernels.emitting import amx_tiles
from hardware.kernels.emitting.amx_tiles import clear, configured, load_tile, multiply, store_tile
from hardware.kernels.emitting.emit import Parameter, function
from hardware.runtime.amx import sums_of_a_test
from tests.hardware.kernels.amx.amx_bench import guarded
from tests.hardware.kernels.amx.emulator import Emulator, amx_target

CODES, WEIGHTS, SUMS = (32, 64), (32, 64), (64, 16)


def run_tiles(emulator: Emulator, body: Callable[..., None]) -> np.ndarray:
    """Compile a body of `(codes, weights, sums)` and run it on numbers of all kinds."""
    shapes = {"codes": (CODES, "uint8"), "weights": (WEIGHTS, "int8"), "sums": (SUMS, "int32")}
    parameters = [Parameter(name=n, shape=shape, dtype=kind) for n, (shape, kind) in shapes.items()]
    module = tvm.IRModule({"tiles": function("tiles", parameters, body)})
    built = tvm.tirx.build(module, amx_target().tvm_target())
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, CODES, np.uint8)
    weights = rng.integers(-128, 128, WEIGHTS, np.int8)
    sums = guarded(np.zeros(SUMS, np.int32))
    tensors = (guarded(codes), guarded(weights), sums)
    with emulator.running():
        built["tiles"](*(tvm.runtime.from_dlpack(one) for one in tensors))
    return sums


def product(codes: Any, weights: Any, sums: Any) -> None:
    load_tile(4, codes, 0, 64)
    load_tile(6, weights, 0, 64)
    multiply(0, 4, 6)
    store_tile(0, sums, 0, 64)


def test_the_test_of_the_instructions_is_exact(only_emulator: Emulator) -> None:
    before = only_emulator.counts()
    with only_emulator.running():
        found, expected = sums_of_a_test()
    assert found == expected
    assert min(expected) < -100_000 < 100_000 < max(expected)
    done = {kind: count - before[kind] for kind, count in only_emulator.counts().items()}
    assert done == {"configure": 1, "release": 1, "zero": 1, "load": 2, "store": 1, "multiply": 1}


def test_rows_beyond_a_tile_stay_as_they_are(only_emulator: Emulator) -> None:
    def body(codes: Any, weights: Any, sums: Any) -> None:
        with configured(5, 12):
            clear(0)
            product(codes, weights, sums)

    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, CODES, np.uint8).astype(np.int64)[:5, :12].reshape(5, 3, 4)
    weights = rng.integers(-128, 128, WEIGHTS, np.int8).astype(np.int64)[:3].reshape(3, 16, 4)
    found = run_tiles(only_emulator, body)
    assert np.array_equal(found[:5], np.einsum("psk,sck->pc", codes, weights))
    assert not found[5:].any()


def test_tiles_without_a_configuration(only_emulator: Emulator) -> None:
    with pytest.raises(AssertionError, match="tileloadd: tile 4 has no size"):
        run_tiles(only_emulator, product)


def test_a_product_into_its_own_factor(only_emulator: Emulator) -> None:
    def body(codes: Any, weights: Any, sums: Any) -> None:
        with configured(16, 64):
            multiply(4, 4, 6)

    with pytest.raises(AssertionError, match="tdpbusd: tiles 4, 4, 6 are not three"):
        run_tiles(only_emulator, body)


def test_tiles_that_do_not_belong_together(only_emulator: Emulator) -> None:
    def body(codes: Any, weights: Any, sums: Any) -> None:
        with configured(16, 48):
            multiply(0, 6, 4)  # weights have 12 rows, and there are 16 pixels

    with pytest.raises(AssertionError, match="sizes of tiles 0, 6, 4 do not belong together"):
        run_tiles(only_emulator, body)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (0, 2, "palette 2, and there is 1"),
        (1, 1, "byte 1 must be 0"),
        (48, 17, "tile 0 of 17 rows of 64 bytes"),
        (16, 0, "tile 0 of 16 rows of 0 bytes"),
    ],
)
def test_bad_configurations(
    place: int,
    value: int,
    sentence: str,
    only_emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layout = bytearray(amx_tiles.tile_configuration(16, 64))
    layout[place] = value
    monkeypatch.setattr(amx_tiles, "tile_configuration", lambda *_: bytes(layout))

    def body(codes: Any, weights: Any, sums: Any) -> None:
        with configured(16, 64):
            clear(1)

    with pytest.raises(AssertionError, match=sentence):
        run_tiles(only_emulator, body)


def test_memory_that_nobody_may_read(only_emulator: Emulator) -> None:
    def body(codes: Any, weights: Any, sums: Any) -> None:
        with configured(16, 64):
            load_tile(4, codes, 17 * 64, 64)  # the last of its rows is beyond the tensor

    with pytest.raises(AssertionError, match="cannot read row 15 of tile 4"):
        run_tiles(only_emulator, body)


def test_tiles_that_are_kept(only_emulator: Emulator) -> None:
    def body(codes: Any, weights: Any, sums: Any) -> None:
        with configured(16, 64):
            product(codes, weights, sums)
        configured(16, 64).__enter__()

    with pytest.raises(AssertionError, match="the tiles were not released"):
        run_tiles(only_emulator, body)
