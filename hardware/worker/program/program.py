"""Program: a candidate put together from compiled kernels, ready to run and to time.

The program is Relax virtual machine bytecode written directly: one call for each step, over
tensors that exist before the first run. `relax.build` would make the same calls from a Relax
function, and add a check for each argument and an allocation for each result at every execution
(measured: 0.8 us a call against 0.2) and 25 ms of building for each candidate.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from hardware.errors import BuildError
from hardware.graph.borders import border_code, stored_shape
from hardware.kernels.schedule.copying import SLACK_BYTES
from hardware.worker.program.planned import PlannedGraph
from hardware.worker.program.stamps import Stamps
from hardware.worker.program.storage import plan_storage
from quant.deploy_graph import DeployGraph, DeployTensor

_ENTRY = "main"
_POOLED_BYTES = 16 * 1024
"""Largest constant that goes into the pool of a program in memory."""

_BOUND = "timed"  # the entry with its tensors already bound, so that a timing looks nothing up


class Runnable(Protocol):
    """A program, wherever it runs."""

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run once on `x`, batch first, and return a copy of the output."""

    def value(self, name: str) -> npt.NDArray[Any]:
        """Return a copy of a tensor that the graph keeps, as the last run left it."""

    def execute(self) -> None:
        """Run once on the input that the last `run` left in place."""

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        """Return the mean milliseconds of one execution in each of `repeats` repeats."""


class Program:
    """A runnable network of fixed batch size. Owns its tensors; not safe for two threads."""

    def __init__(self, machine: Any, tensors: dict[str, Any], graph: DeployGraph) -> None:
        """Keep the virtual machine and the tensors it works on (see `assemble`)."""
        self._machine = machine
        self._tensors = tensors
        self._graph = graph
        self._input = tensors[graph.input]
        self._output = tensors[graph.output]
        self._entry, self._exit = graph.tensors[graph.input], graph.tensors[graph.output]
        self._border_code = border_code(graph, graph.input)
        self._network = graph.network
        self._call = machine[_BOUND]
        self._device = tvm.cpu()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input, batch first."""
        return (int(self._input.shape[0]), *self._entry.shape)

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run once.

        Args:
            x: `[batch, C, H, W]` or `[batch, F]`, converted to the input's type.

        Returns:
            A copy of the output tensor, batch first.

        Raises:
            BuildError: `x` has another shape than the program was built for.
        """
        if x.shape != self.input_shape:
            raise BuildError(
                f"{self._network} was built for inputs of shape {self.input_shape}, found {x.shape}"
            )
        stored = np.full(tuple(self._input.shape), self._border_code, str(self._input.dtype))
        _inside(stored, self._entry)[...] = x
        self._input.copyfrom(stored)
        self.execute()
        return np.array(_inside(self._output.numpy(), self._exit))

    def value(self, name: str) -> npt.NDArray[Any]:
        """Return a copy of a tensor as the last run left it, batch first.

        Only the output and the tensors that the graph keeps are still what their operators wrote.
        """
        return np.array(_inside(self._tensors[name].numpy(), self._graph.tensors[name]))

    def execute(self) -> None:
        """Run once on the input that the last `run` left in place; nothing is copied."""
        self._call()

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        """Return the mean milliseconds of one execution in each of `repeats` repeats.

        Args:
            loops: Executions in one repeat.
            repeats: Number of repeats.
        """
        evaluator = self._machine.time_evaluator(_BOUND, self._device, number=loops, repeat=repeats)
        return [1000.0 * float(seconds) for seconds in evaluator().results]


def assemble(
    planned: PlannedGraph, modules: Iterable[Any], *, batch: int, stamps: Stamps | None = None
) -> Program:
    """Put a program together; nothing is compiled.

    Args:
        planned: The converted network and its kernels.
        modules: Compiled modules that together hold every plan's symbol.
        batch: Images in one execution.
        stamps: Write down when every step begins and ends; `modules` hold its kernel as well.
    """
    tensors = _make_tensors(planned, batch)
    extra = [] if stamps is None else [stamps.counter, stamps.times]
    arguments = [*tensors.values(), *extra]
    builder = relax.ExecBuilder()
    in_pool = pool_constants(builder)

    def constant(array: npt.NDArray[Any]) -> int:
        """Pass large constants as arguments: the pool would read them to find equal ones."""
        if array.nbytes <= _POOLED_BYTES:
            return in_pool(array)
        arguments.append(tvm.runtime.tensor(array))
        return int(builder.r(len(arguments) - 1))

    def stamp(place: int) -> None:
        if stamps is not None:
            operands = [in_pool(np.array([place], np.int32))]
            operands += [builder.r(len(tensors) + index) for index in range(len(extra))]
            builder.emit_call(stamps.plan.symbol, operands)

    large = sum(array.nbytes > _POOLED_BYTES for plan in planned.plans for array in plan.constants)
    with builder.function(_ENTRY, num_inputs=len(tensors) + len(extra) + large):
        write_calls(builder, planned, list(tensors), constant, stamp)
    executable = builder.get()
    for module in modules:
        executable.mod.import_module(module)
    # `executable.mod` and not `executable`: the latter would first link an empty library.
    machine = relax.VirtualMachine(executable.mod, tvm.cpu())
    machine.save_function(_ENTRY, _BOUND, *arguments, include_return=False)
    return Program(machine, tensors, planned.graph)


def pool_constants(builder: Any) -> Callable[[npt.NDArray[Any]], int]:
    """Return what puts a constant into a program's pool, where equal ones are stored once."""
    return lambda array: int(
        builder.convert_constant(tvm.runtime.tensor(np.asarray(array, order="C")))
    )


def write_calls(
    builder: Any,
    planned: PlannedGraph,
    tensors: Sequence[str],
    constant: Callable[[npt.NDArray[Any]], int],
    stamp: Callable[[int], None] = lambda place: None,
) -> None:
    """Write the body of a program: one call for each step.

    Args:
        builder: A `relax.ExecBuilder`, inside a function.
        planned: The converted network and its kernels.
        tensors: Names of the function's first arguments. Tensors that are written must be
            arguments: the pool would merge two buffers of equal content.
        constant: Makes an operand of a constant.
        stamp: Called with 0 at the beginning, then with 1, 2, ... before each call and at the end.
    """
    registers = {name: index for index, name in enumerate(tensors)}
    stamp(0)
    stamp(1)
    for place, (step, plan) in enumerate(planned.calls, start=2):
        inputs = [builder.r(registers[name]) for name in step.reads]
        constants = [constant(array) for array in plan.constants]
        outputs = [builder.r(registers[name]) for name in step.writes]
        arguments = [*inputs, *constants]
        if plan.order is not None:
            arguments = [arguments[index] for index in plan.order]
        builder.emit_call(plan.symbol, [*arguments, *outputs])
        stamp(place)
    builder.emit_ret(builder.r(registers[planned.graph.output]))


def _make_tensors(planned: PlannedGraph, batch: int) -> dict[str, Any]:
    """Return a view of its storage for each tensor, batch first."""
    graph = planned.graph
    plan = plan_storage(graph, planned.steps, batch)
    # Filled: the first run must not depend on what the memory held before.
    storages = [
        tvm.runtime.tensor(np.full(size + SLACK_BYTES, fill, np.uint8))
        for size, fill in zip(plan.sizes_bytes, plan.fills, strict=True)
    ]
    return {
        name: storages[slot]._create_view(
            stored_shape(graph.tensors[name], batch), graph.tensors[name].dtype
        )
        for name, slot in plan.slots.items()
    }


def _inside(stored: npt.NDArray[Any], tensor: DeployTensor) -> npt.NDArray[Any]:
    """Return a view of a tensor without its border."""
    rows, columns = tensor.border
    if not rows and not columns:
        return stored
    return stored[:, rows : stored.shape[1] - rows, columns : stored.shape[2] - columns]
