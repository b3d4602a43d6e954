"""Limits of families: measured on this core, and no network beats them."""

from math import prod

import numpy as np
import pytest
import tvm

from hardware.errors import TargetError
from hardware.kernels.compiling.limit import limit_arguments, limit_kernel, limit_products
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.avx2 import Avx2Bytes, Avx2Words
from hardware.kernels.families.avx2_table import Avx2Table
from hardware.kernels.families.family import Family
from hardware.kernels.families.generic import Generic
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.family_limits import FamilyLimits, family_shares
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like

AVX2 = TargetConfig(family="avx2")
SHAPES = Geometry(batch=1, height=9, width=9, channels=32, out_channels=32)


@pytest.fixture(scope="module")
def target() -> object:
    try:
        return KernelTarget.of(AVX2).tvm_target()
    except TargetError as error:
        pytest.skip(str(error))


def families() -> list[Family]:
    table = Avx2Table.choose(2, 2, 96)
    assert table is not None
    deep = Avx2Bytes(name="avx2-d128", depth=128)
    return [Generic(), Avx2Words(), Avx2Bytes(name="avx2-d1", depth=1), deep, table]


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_every_product_of_a_limit_is_computed(family: Family, target: object) -> None:
    arguments = limit_arguments(family)
    codes, weights, lookup, sums = (None if a is None else np.array(a) for a in arguments)
    assert codes is not None
    assert weights is not None
    if lookup is None:
        codes[:], weights[:] = 1, 1
    else:
        codes[:], weights[:] = 0, 0  # the entry of two codes of 0: the offset alone
    module = tvm.tirx.build(tvm.IRModule({"limit": limit_kernel("limit", family)}), target)
    tensors = [tvm.runtime.tensor(a) for a in (codes, weights, lookup, sums) if a is not None]
    module["limit"](*tensors)
    total = int(tensors[-1].numpy().astype(np.int64).sum())
    each = 1 if lookup is None else family.step_bias() / family.products
    assert total == each * limit_products(family)


def test_a_dot_product_is_not_waited_for() -> None:
    kind = KernelTarget.of(TargetConfig()).family
    if kind not in ("avx512-vnni", "avx-vnni"):
        pytest.skip(f"this machine's family is {kind}")
    family = choose_family(kind, 8, 8, SHAPES)
    assert family.waits
    arguments = [np.array(a) for a in limit_arguments(family) if a is not None]
    arguments[0][:], arguments[1][:] = 1, 1
    target = KernelTarget.of(TargetConfig()).tvm_target()
    module = tvm.tirx.build(tvm.IRModule({"limit": limit_kernel("limit", family)}), target)
    tensors = [tvm.runtime.tensor(a) for a in arguments]
    module["limit"](*tensors)
    assert int(tensors[-1].numpy().astype(np.int64).sum()) == limit_products(family)
    # More accumulators than four: as many as multiplications that are under way at a time.
    accumulators = arguments[-1].size // family.channels
    assert accumulators == {"avx512-vnni": 16, "avx-vnni": 8}[kind]


def test_lower_bits_have_higher_limits(target: object) -> None:
    limits = FamilyLimits(AVX2)
    for _ in range(8):  # other work slows a measurement down, and none makes it faster
        known = limits.measure(families())
        if known["avx2-d128"] > known["avx2-d1"] > known["generic"]:
            break
    assert known["avx2-d128"] > known["avx2-d1"] > known["generic"]


def test_shares_hold_every_product(target: object) -> None:
    graph = digits_like()
    shares = family_shares(graph, AVX2)
    products = sum(
        op.weight[0].size * prod(graph.tensors[op.output].shape) for op in graph.layer_ops()
    )
    assert sum(share.products for share in shares) == products
    limits = FamilyLimits(AVX2)
    limits.measure({share.family for share in shares})
    assert 0 < limits.least_ms(shares) < 1
