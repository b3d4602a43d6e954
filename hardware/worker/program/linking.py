"""Linking a candidate into one shared library: bytecode, kernels and constants.

TVM would write constants into the library as numbers in C, or through LLVM, and either takes
seconds for the weights of a ResNet. Here the assembler includes them as the bytes they are.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm import relax
from tvm.support import cc

from hardware.errors import BuildError, ToolchainError
from hardware.graph.borders import stored_shape
from hardware.kernels.schedule.copying import SLACK_BYTES
from hardware.runtime.linked import ENTRY, LAYOUT, STAMPED
from hardware.worker.program.planned import PlannedGraph
from hardware.worker.program.program import pool_constants, write_calls
from hardware.worker.program.stamps import Stamps
from hardware.worker.program.storage import StoragePlan, plan_storage
from quant.deploy_graph import DeployGraph

Link = Callable[[str, list[str]], None]
"""`(library, objects and assembler files)`: what makes a shared library of them, such as
`tvm.support.cc.cross_compiler("aarch64-linux-gnu-g++")`."""

_LEAN = ("-Wl,--build-id=none", "-nodefaultlibs", "-lm", "-lc")
"""Kernels need the C library alone, and a hash of all weights is for nobody: of the 0.2 s that the
compiler takes to link a ResNet-18, the two save half."""

_BLOB = """\
    .section .rodata
    .globl __tvm_ffi__library_bin
    .p2align 6
__tvm_ffi__library_bin:
    .incbin "{file}"
    .size __tvm_ffi__library_bin, .-__tvm_ffi__library_bin
    .section .note.GNU-stack,"",%progbits
"""
"""Where TVM's loader looks for what is no machine code: how long it is, and then its bytes."""


def link_program(
    planned: PlannedGraph,
    objects: Sequence[Path],
    file: Path,
    *,
    batch: int,
    link: Link | None = None,
    stamps: Stamps | None = None,
    outside: list[npt.NDArray[Any]] | None = None,
) -> None:
    """Write a program that `LinkedProgram` loads.

    Args:
        planned: The converted network and its kernels.
        objects: Compiled kernels that together hold every plan's symbol, and that of `stamps`.
        file: The shared library to write.
        batch: Images in one execution.
        link: Makes the library; None for this machine's compiler.
        stamps: Lets the program also run with stamps (see `LinkedProgram.stamps`).
        outside: Gets the constants, in the order in which `LinkedProgram` wants them; the library
            is then without. Not together with `stamps`.

    Raises:
        BuildError: the library cannot be linked.
        ToolchainError: there is no C++ compiler.
    """
    if link is None:
        if cc.get_cc() is None:
            raise ToolchainError(
                "expected a C++ compiler to link a program with, found none on PATH",
                "install g++ or clang, or set CXX",
            )
        link = partial(cc.create_shared, options=list(_LEAN) if sys.platform == "linux" else None)
    storage = plan_storage(planned.graph, planned.steps, batch)
    builder = relax.ExecBuilder()
    count = 0 if outside is None else sum(len(plan.constants) for plan in planned.plans)
    with builder.function(ENTRY, num_inputs=len(storage.slots) + count):
        constant = pool_constants(builder)
        if outside is not None:
            constant = _pass_constants(builder, len(storage.slots), outside)
        write_calls(builder, planned, list(storage.slots), constant)
    layout = _layout(planned.graph, storage, batch)
    if stamps is not None:
        layout["stamps"] = {"rows": stamps.rows, "count": stamps.count}
        _write_stamped(builder, planned, list(storage.slots), stamps)
    with builder.function(LAYOUT, num_inputs=0):
        text = builder.convert_constant(json.dumps(layout))
        builder.emit_call("vm.builtin.copy", [text], builder.r(0))
        builder.emit_ret(builder.r(0))
    executable = builder.get().mod
    # One static library stands for all: it tells the loader to look for symbols in the file itself.
    executable.import_module(tvm.runtime.load_static_library(str(objects[0]), []))
    packed = tvm.get_global_func("runtime.ModulePackImportsToTensor")(executable)
    with tempfile.TemporaryDirectory(prefix="bitalloc-link-") as name:
        blob, source = Path(name) / "program.bin", Path(name) / "program.s"
        packed.numpy().tofile(blob)
        source.write_text(_BLOB.format(file=blob), encoding="ascii")
        try:
            link(str(file), [*map(str, objects), str(source)])
        except RuntimeError as error:
            raise BuildError(f"{planned.graph.network} cannot be linked: {error}") from error


def _pass_constants(
    builder: Any, first: int, outside: list[npt.NDArray[Any]]
) -> Callable[[npt.NDArray[Any]], int]:
    """Return what makes each constant one more argument of the function."""

    def constant(array: npt.NDArray[Any]) -> int:
        outside.append(array)
        return int(builder.r(first + len(outside) - 1))

    return constant


def _write_stamped(
    builder: Any, planned: PlannedGraph, tensors: Sequence[str], stamps: Stamps
) -> None:
    """Write the program once more, with a stamp before each step."""
    in_pool = pool_constants(builder)

    def stamp(place: int) -> None:
        operands = [in_pool(np.array([place], np.int32))]
        operands += [builder.r(len(tensors)), builder.r(len(tensors) + 1)]
        builder.emit_call(stamps.plan.symbol, operands)

    with builder.function(STAMPED, num_inputs=len(tensors) + 2):
        write_calls(builder, planned, tensors, in_pool, stamp)


def _layout(graph: DeployGraph, storage: StoragePlan, batch: int) -> dict[str, Any]:
    """Return the document that `LAYOUT` describes."""
    return {
        "input": graph.input,
        "output": graph.output,
        "storages": [
            {"bytes": size + SLACK_BYTES, "fill": fill}
            for size, fill in zip(storage.sizes_bytes, storage.fills, strict=True)
        ],
        "tensors": [
            {
                "name": name,
                "storage": slot,
                "shape": stored_shape(graph.tensors[name], batch),
                "dtype": graph.tensors[name].dtype,
                "border": graph.tensors[name].border,
            }
            for name, slot in storage.slots.items()
        ],
    }
