"""Family limits: how fast this core multiplies in each kernel family, and how near a network comes.

The limit of a family is measured: its own steps run on numbers in the first cache, without loops
over images, epilogues or padding (`hardware.kernels.compiling.limit`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import tvm

from hardware.graph.borders import with_borders
from hardware.graph.program_steps import steps_of
from hardware.kernels.compiling.limit import limit_arguments, limit_kernel, limit_products
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.family import Family
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.planning.context import ChooseFamily, PlanContext
from hardware.kernels.planning.layers import plan_layer
from hardware.kernels.planning.products import matrices_family
from hardware.kernels.products.depthwise import DepthwiseFamily
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from quant.deploy_graph import Conv2d, DeployGraph, Linear, MatMul

_REPEATS = 12
_LIKE_DEPTHWISE = Geometry(batch=1, height=9, width=9, channels=32, out_channels=32)
"""A depthwise layer counts at the limit of the family that its bits have in a convolution."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyShare:
    """The products of one network that one family computes."""

    family: Family
    products: int


def family_shares(
    graph: DeployGraph, config: TargetConfig, family_of: ChooseFamily = choose_family
) -> tuple[FamilyShare, ...]:
    """Return the families of layers and products of tensors with their products, for one image.

    Args:
        graph: The converted network.
        config: What kernels are compiled for.
        family_of: Gives a layer its family: the rule, or what the tile search found.
    """
    graph = with_borders(graph)
    context = PlanContext(graph=graph, batch=1, target=KernelTarget.of(config), family=family_of)
    products: dict[Family, int] = {}
    for step in steps_of(graph):
        if isinstance(step.op, MatMul):
            matrices = step.op.matrices
            multiplied = matrices_family(context.target.family, step.op.bits, matrices.rows)
            products[multiplied] = products.get(multiplied, 0) + matrices.macs
        if not isinstance(step.op, Conv2d | Linear):
            continue
        op, family = step.op, plan_layer(step, context).family
        if isinstance(family, DepthwiseFamily):
            bits = (op.weight_bits, op.activation_bits)
            kind = context.target.family
            family = choose_family("avx512-vnni" if kind == "amx" else kind, *bits, _LIKE_DEPTHWISE)
        count = op.weight[0].size * prod(graph.tensors[op.output].shape)
        products[family] = products.get(family, 0) + count
    return tuple(FamilyShare(family=f, products=count) for f, count in products.items())


class FamilyLimits:
    """Measured limits, GMAC/s by family name; measuring again keeps the better value."""

    def __init__(self, config: TargetConfig) -> None:
        """Remember what kernels are compiled for."""
        self._target = KernelTarget.of(config).tvm_target()
        self._kernels: dict[str, tuple[Family, Any, list[Any]]] = {}
        self.gmacs: dict[str, float] = {}

    def measure(self, families: Iterable[Family]) -> Mapping[str, float]:
        """Measure families, each compiled once; return all limits known."""
        for family in families:
            if family.name not in self._kernels:
                function = limit_kernel("limit", family)
                module = tvm.tirx.build(tvm.IRModule({"limit": function}), self._target)
                timer = module.time_evaluator("limit", tvm.cpu(), number=1, repeat=_REPEATS)
                arguments = [
                    tvm.runtime.tensor(np.ascontiguousarray(array))
                    for array in limit_arguments(family)
                    if array is not None
                ]
                self._kernels[family.name] = (family, timer, arguments)
            family, timer, arguments = self._kernels[family.name]
            seconds = min(float(value) for value in timer(*arguments).results)
            found = limit_products(family) / seconds / 1e9
            self.gmacs[family.name] = max(found, self.gmacs.get(family.name, 0.0))
        return self.gmacs

    def least_ms(self, shares: Iterable[FamilyShare]) -> float:
        """Return the milliseconds that a network's products take at their families' limits."""
        return sum(share.products / self.gmacs[share.family.name] / 1e6 for share in shares)
