"""PlanContext: what planning an operator needs to know besides the operator."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.graph.borders import stored_shape
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.family import Family
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.schedule.schedule import Schedule, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.kernels.shapes.layout import Layout
from hardware.target import KernelFamily, Transform
from quant.deploy_graph import DeployGraph
from quant.records.source_digest import digest_of_folder

_GENERIC = "generic"
"""Family of kernels that are written for every target."""

ChooseSchedule = Callable[[Geometry, Family], Schedule]
"""Gives a layer its schedule."""

ChooseFamily = Callable[[KernelFamily, int, int, Geometry, Transform], Family]
"""Gives a layer its family, of the arguments of `choose_family`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanContext:
    """Graph, batch size and target of one program, and how families and tiles are chosen."""

    graph: DeployGraph
    batch: int
    target: KernelTarget
    schedule: ChooseSchedule = make_schedule
    family: ChooseFamily = choose_family

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return a tensor's shape without its border, batch first."""
        return (self.batch, *self.graph.tensors[tensor].shape)

    def stored_shape(self, tensor: str) -> tuple[int, ...]:
        """Return a tensor's shape with its border, batch first."""
        return stored_shape(self.graph.tensors[tensor], self.batch)

    def border(self, tensor: str) -> tuple[int, int]:
        """Return the rows and columns around a tensor's images."""
        return self.graph.tensors[tensor].border

    def layout(self, tensor: str) -> Layout:
        """Return where a tensor's values are."""
        return Layout.of(self.graph.tensors[tensor].shape, self.border(tensor), self.batch)

    def dtype(self, tensor: str) -> str:
        """Return a tensor's type."""
        return self.graph.tensors[tensor].dtype

    def plan(
        self,
        kernel: str,
        code: dict[str, Any],
        build: Callable[[str], Any],
        constants: tuple[npt.NDArray[Any], ...] = (),
        family: str = _GENERIC,
    ) -> KernelPlan:
        """Return a plan whose key holds everything that shapes the code.

        Args:
            kernel: Which kernel.
            code: The arguments that the kernel was written with, as JSON.
            build: Makes the TensorIR function; can be pickled, as other processes compile too.
            constants: Arrays passed at run time.
            family: How products are summed.
        """
        key = {
            "kernel": kernel,
            "family": family,
            "code": code,
            "source": source_digest(),
            "target": self.target.document(),
        }
        return KernelPlan(key=key, build=build, constants=constants, family=family)


def limits(zero_point: int, clip_min: int, clip_max: int) -> npt.NDArray[np.float32]:
    """Return the run-time limits of a requantization: float32 `[3]`, exact for codes."""
    return np.array([zero_point, clip_min, clip_max], dtype=np.float32)


@cache
def source_digest() -> str:
    """Return the digest of the kernels' own sources: older kernels are never taken for newer."""
    return digest_of_folder(Path(__file__).parents[1])
