"""PlannedGraph: a network whose every step has its kernel; what programs are made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hardware.graph.program_steps import Step, steps_of
from hardware.kernels.compiling.plan import KernelPlan
from quant.deploy_graph import DeployGraph


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedGraph:
    """A converted network and the calls that compute it."""

    graph: DeployGraph
    """With borders."""
    steps: Sequence[Step]
    """See `steps_of`."""
    calls: Sequence[tuple[Step, KernelPlan]]
    """Each step that moves data, with its kernel; a Reshape moves none."""

    @classmethod
    def of(cls, graph: DeployGraph, plan: Callable[[Step], KernelPlan | None]) -> "PlannedGraph":
        """Plan every step of a graph."""
        steps = steps_of(graph)
        planned = [(step, plan(step)) for step in steps]
        calls = [(step, kernel) for step, kernel in planned if kernel is not None]
        return cls(graph=graph, steps=steps, calls=calls)

    @property
    def plans(self) -> list[KernelPlan]:
        """The kernels, in the order of their calls."""
        return [plan for _, plan in self.calls]
