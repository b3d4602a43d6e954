"""Matrix products of one vector: exact on packed weights, and no byte is read in vain.

VNNI's kernels run here without its instruction, of which a test has the arithmetic.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tvm.tirx.script import builder as T

from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.epilogue.epilogue import PlainEpilogue
from hardware.kernels.families.avx2 import INT16_MAX
from hardware.kernels.families.avx2_packed import Avx2Packed, choose_avx2_packed
from hardware.kernels.families.vnni import Vnni
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import KernelFamily
from tests.hardware.kernels.single_op import Bench, make_layer

PAIRS = [(weight, activation) for weight in range(2, 9) for activation in range(2, 9)]
SHAPES = [(10, 64), (37, 333), (70, 200), (5, 7), (64, 1)]
"""Output and input features: whole steps and such as leave a rest, full vectors and others."""

pairs = pytest.mark.parametrize("bits", PAIRS, ids=lambda bits: f"w{bits[0]}a{bits[1]}")


def _agree(bench: Bench, bits: tuple[int, int], shape: tuple[int, int]) -> None:
    """Compare random and extreme weights and codes with the reference."""
    rng = np.random.default_rng(shape[1])
    largest, highest = 2 ** (bits[0] - 1) - 1, 2 ** bits[1] - 1
    op = make_layer(rng, shape, bits, out_dtype="float32", zero_point=1)
    signs = rng.choice(np.array([-largest, largest], np.int8), shape)
    x = rng.integers(0, highest, (1, shape[1]), dtype=np.uint8, endpoint=True)
    for weight in (op.weight, signs, np.full_like(signs, largest), np.full_like(signs, -largest)):
        layer = replace(op, weight=weight)
        bench.agrees(layer, x, out_dtype="float32")
        bench.agrees(layer, np.full_like(x, highest), out_dtype="float32")


@pairs
def test_avx2_is_exact(bits: tuple[int, int], avx2: Bench) -> None:
    for shape in SHAPES[:3]:
        _agree(avx2, bits, shape)


@pytest.mark.parametrize("bits", [(2, 2), (3, 3), (4, 4), (5, 8), (7, 7), (8, 8)])
@pytest.mark.parametrize("shape", SHAPES[3:])
def test_small_layers_are_exact(bits: tuple[int, int], shape: tuple[int, int], avx2: Bench) -> None:
    _agree(avx2, bits, shape)


@pairs
def test_avx2_reads_no_byte_in_vain(bits: tuple[int, int], avx2: Bench) -> None:
    op = make_layer(np.random.default_rng(0), (64, 256), bits)
    plan = avx2.plan(op, [np.zeros((1, 256), np.uint8)], (1, 64), "uint8")
    stored = 4 if bits[0] == 3 and bits[1] < 8 else bits[0]
    # The last chunk of steps is filled up with zeros.
    assert plan.constants[0].nbytes <= 1.1 * 64 * 256 * stored / 8


@pairs
def test_sums_of_two_products_fit_16_bits(bits: tuple[int, int]) -> None:
    if bits[0] == 8:
        return
    family = choose_avx2_packed(*bits)
    largest = (2 ** (bits[0] - 1) - 1) << (8 - bits[0] if family.at_top else 0)
    held = family.depth * family.packing.weights or family.hold
    assert held * 2 * largest * (2 ** bits[1] - 1) <= INT16_MAX


@pytest.mark.parametrize("bits", [(2, 2), (4, 4), (4, 8), (7, 7)])
def test_sums_that_32_bits_do_not_hold_are_not_packed(bits: tuple[int, int]) -> None:
    def family(channels: int) -> Any:
        shape = Geometry(batch=1, height=1, width=1, channels=channels, out_channels=64)
        return choose_family("avx2", *bits, shape)

    assert family(1024).name != family(2**24).name
    assert not isinstance(family(2**24), Avx2Packed)


@pytest.mark.parametrize("kind", ["avx512-vnni", "avx-vnni"])
@pytest.mark.parametrize("bits", [(weight, 8) for weight in range(2, 9)] + [(2, 2), (5, 5), (7, 3)])
def test_vnni_is_exact_without_its_instruction(
    kind: KernelFamily, bits: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Vnni, "add_products", _add_products)
    monkeypatch.setattr(KernelTarget, "epilogue", lambda _: PlainEpilogue())
    bench = Bench(tmp_path, "generic")
    bench.target = replace(bench.target, family=kind)
    for shape in SHAPES[1:3]:
        _agree(bench, bits, shape)
    geometry = Geometry(batch=1, height=1, width=1, channels=200, out_channels=70)
    stored = {2: "-p2", 3: "-p4", 4: "-p4", 5: "-p5", 6: "-p6", 7: "-p7", 8: ""}[bits[0]]
    assert choose_family(kind, *bits, geometry).name == kind + stored


def _add_products(self: Vnni, total: Any | None, code: Any, weight: Any) -> Any:
    """Compute what `vpdpbusd` computes: four products of u8 and s8 in each lane, added to it."""
    lanes, kind = self.channels, f"int32x{self.channels}"

    def shift(value: Any, left: int, right: int) -> Any:
        moved = T.shift_left(value, T.broadcast(T.int32(left), lanes))
        return T.shift_right(moved, T.broadcast(T.int32(right), lanes))

    codes, weights = (T.Bind(T.reinterpret(value, dtype=kind)) for value in (code, weight))
    total = T.broadcast(T.int32(0), lanes) if total is None else total
    for place in range(4):
        left = 24 - 8 * place
        unsigned = T.bitwise_and(shift(codes, 0, 8 * place), T.broadcast(T.int32(255), lanes))
        total = total + unsigned * shift(weights, left, 24)
    return total
