"""Float islands: TVM compiles them into calls that a program makes in their place.

An island comes as a PyTorch module. TVM imports it, fuses what it can, and leaves a few functions
in float32; what sums in them gets a schedule of ours. Each becomes one operator of the graph, with
tensors of its own in between. An island of two functions:

    before    RunIsland "act"   x -> y
    after     FloatCall         x -> act/float0
              FloatCall         act/float0 -> y
"""

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax

from hardware.errors import BuildError
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.planning.import_island import import_island
from hardware.kernels.planning.schedule_floats import schedule_floats
from quant.deploy_graph import DeployGraph, DeployOp, DeployTensor, Dtype, FloatCall, RunIsland

PASSES = (
    relax.transform.LegalizeOps,
    relax.transform.FoldConstant,
    relax.transform.AnnotateTIROpPattern,
    relax.transform.FuseOps,
    relax.transform.FuseTIR,
    relax.transform.DeadCodeElimination,
)
"""From operators to functions of TensorIR."""
_CALL_TIR = tvm.ir.Op.get("relax.call_tir")
_KEPT_ISLANDS = 64
"""Lowered islands that a process remembers: candidates differ in bits, not in their islands."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One function of an island: tensors are named by their number, inputs first."""

    code: str
    reads: tuple[int, ...]
    constants: tuple[npt.NDArray[Any], ...]
    order: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: Dtype


def with_islands(graph: DeployGraph, batch: int, target: KernelTarget) -> DeployGraph:
    """Return the graph with the compiled functions of its float islands in their place.

    Raises:
        BuildError: TVM cannot compile an island.
    """
    if not any(isinstance(op, RunIsland) for op in graph.ops):
        return graph
    ops: list[DeployOp] = []
    tensors = dict(graph.tensors)
    for op in graph.ops:
        if not isinstance(op, RunIsland):
            ops.append(op)
            continue
        shapes = tuple((batch, *graph.tensors[name].shape) for name in op.inputs)
        calls = _lower(_Module(op.name, op.module), shapes, target)
        names = list(op.inputs)
        for index, call in enumerate(calls):
            last = index == len(calls) - 1
            names.append(op.output if last else f"{op.name}/float{index}")
            if not last:
                tensors[names[-1]] = DeployTensor(
                    name=names[-1], shape=call.shape, dtype=call.dtype, batched=False
                )
            ops.append(
                FloatCall(
                    island=op.name,
                    inputs=tuple(names[number] for number in call.reads),
                    output=names[-1],
                    code=call.code,
                    constants=call.constants,
                    order=call.order,
                )
            )
    # The outputs of islands are kept, to be compared with those of the PyTorch modules.
    made = tuple(op.output for op in graph.ops if isinstance(op, RunIsland))
    return replace(graph, ops=tuple(ops), tensors=tensors, kept=(*graph.kept, *made))


def plan_float_call(op: FloatCall, context: PlanContext) -> KernelPlan:
    """Return the kernel of one function of an island."""
    digest = hashlib.sha256(op.code.encode()).hexdigest()
    plan = context.plan("island", {"function": digest}, partial(_load, op.code), op.constants)
    return replace(plan, order=op.order)


def _load(code: str, symbol: str) -> Any:
    """Return a TensorIR function under a name of ours."""
    return tvm.ir.load_json(code).with_attr("global_symbol", symbol)


class _Module:
    """An island's module, equal to those that compute the same."""

    def __init__(self, name: str, module: Any) -> None:
        self.name, self.module = name, module
        # Imported where there are islands: it imports torch, which takes seconds.
        from quant.capture.float_island import island_digest

        self.digest = island_digest(module)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Module) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@lru_cache(maxsize=_KEPT_ISLANDS)
def _lower(
    island: _Module, shapes: tuple[tuple[int, ...], ...], target: KernelTarget
) -> tuple[_Call, ...]:
    try:
        module = import_island(island.name, island.module, shapes)
        with target.tvm_target():
            module = tvm.transform.Sequential([make() for make in PASSES])(module)
    except BuildError:
        raise
    except Exception as error:  # TVM's passes raise nearly anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BuildError(f"TVM cannot compile the float island {island.name}: {reason}") from error
    return _calls(island.name, module)


def _calls(name: str, module: Any) -> tuple[_Call, ...]:
    main = module["main"]
    numbers = {parameter: number for number, parameter in enumerate(main.params)}
    calls: list[_Call] = []
    for block in main.body.blocks:
        for binding in block.bindings:
            value = binding.value
            if isinstance(value, relax.Var) and value in numbers:
                numbers[binding.var] = numbers[value]
                continue
            called = getattr(value, "op", None)
            if called != _CALL_TIR:
                raise BuildError(
                    f"TVM cannot compile the float island {name} into kernels: it calls "
                    f"{getattr(value, 'args', [called or type(value).__name__])[0]}"
                )
            numbers[binding.var] = len(main.params) + len(calls)
            calls.append(_call(name, module, value, numbers))
    if numbers.get(main.body.body) != len(main.params) + len(calls) - 1:
        raise BuildError(f"the float island {name} computes nothing that it returns")
    return tuple(calls)


def _call(name: str, module: Any, value: Any, numbers: Any) -> _Call:
    reads: list[int] = []
    constants: list[npt.NDArray[Any]] = []
    places: list[tuple[int, int]] = []
    for argument in value.args[1].fields:
        if argument in numbers:
            places.append((0, len(reads)))
            reads.append(numbers[argument])
        elif hasattr(argument, "value"):
            places.append((1, len(constants)))
            constants.append(np.asarray(argument.value.numpy()))
        else:
            raise BuildError(f"the float island {name} has an argument that is no tensor")
    (made,) = value.ty_args
    shape, dtype = tuple(int(size) for size in made.shape.values), str(made.dtype)
    function = module[value.args[0]]
    written = tuple(int(size) for size in function.params[-1].shape)
    if written != shape:
        raise BuildError(
            f"TVM cannot compile the float island {name}: its {value.args[0].name_hint} makes "
            f"{list(written)} where {list(shape)} is expected"
        )
    if dtype not in get_args(Dtype):
        raise BuildError(f"the float island {name} keeps numbers of type {dtype}")
    return _Call(
        code=tvm.ir.save_json(schedule_floats(function)),
        reads=tuple(reads),
        constants=tuple(constants),
        order=tuple(index + len(reads) * kind for kind, index in places),
        shape=shape,
        dtype=cast(Dtype, dtype),
    )
