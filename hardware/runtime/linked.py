"""LinkedProgram: a candidate in one shared library, run with nothing but TVM's runtime.

`hardware.worker.program.linking` writes such libraries. This file needs numpy and TVM's runtime
alone and nothing of this project, so that it works on a board as it is.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm
from tvm.runtime.vm import VirtualMachine

ENTRY = "main"
"""Runs the program; its arguments are the tensors that `LAYOUT` lists."""
LAYOUT = "layout"
"""Returns, as JSON: `storages`, each with its `bytes` and the code `fill` that they hold at first;
`tensors`, each with `name`, `storage`, `shape`, `dtype` and `border` (rows, columns); and the names
of `input` and `output`. Tensors begin where their storage begins. Where the program can be run
with stamps, `stamps` has their number in `count`, and in `rows` how many executions they keep."""
STAMPED = "stamped"
"""Runs the program and writes down when each step began; after the tensors its arguments are a
counter, int32 `[1]`, and the times, int64 `[rows, count, 2]` in seconds and nanoseconds."""

_BOUND = "bound"
_BOUND_STAMPED = "bound_stamped"


class LinkedProgram:
    """A loaded library and the tensors it works on; not safe for two threads."""

    def __init__(self, file: Path, constants: Sequence[npt.NDArray[Any]] = ()) -> None:
        """Load a library and make its tensors.

        Args:
            file: The library.
            constants: Those that the library was linked without, in order.

        Raises:
            RuntimeError: the file is no library of this machine, or no linked program.
        """
        self._machine = VirtualMachine(tvm.runtime.load_module(str(file)), tvm.cpu())
        layout: dict[str, Any] = json.loads(str(self._machine[LAYOUT]()))
        storages = [
            tvm.runtime.tensor(np.full(storage["bytes"], storage["fill"], np.uint8))
            for storage in layout["storages"]
        ]
        tensors = {
            tensor["name"]: storages[tensor["storage"]]._create_view(
                tuple(tensor["shape"]), tensor["dtype"]
            )
            for tensor in layout["tensors"]
        }
        borders = {tensor["name"]: tensor["border"] for tensor in layout["tensors"]}
        fills = {
            tensor["name"]: layout["storages"][tensor["storage"]]["fill"]
            for tensor in layout["tensors"]
        }
        self._tensors, self._borders = tensors, borders
        self._input, self._output_name = tensors[layout["input"]], layout["output"]
        self._input_border = borders[layout["input"]]
        self._input_fill = fills[layout["input"]]
        # Kept: the machine does not own what it is bound to.
        self._outside = [tvm.runtime.tensor(np.asarray(array, order="C")) for array in constants]
        self._machine.save_function(
            ENTRY, _BOUND, *tensors.values(), *self._outside, include_return=False
        )
        self._call = self._machine[_BOUND]
        self._stamps = self._bind_stamps(layout.get("stamps"), list(tensors.values()))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of what `run` takes, batch first."""
        return self._shape(self._input, self._input_border)

    @property
    def output(self) -> str:
        """Name of the tensor that `run` returns."""
        return str(self._output_name)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor, batch first; None where the program has no such tensor."""
        if name not in self._tensors:
            return None
        return self._shape(self._tensors[name], self._borders[name])

    @staticmethod
    def _shape(tensor: Any, border: tuple[int, int]) -> tuple[int, ...]:
        shape = [int(size) for size in tensor.shape]
        for axis, width in enumerate(border, start=1):
            if width:
                shape[axis] -= 2 * width
        return tuple(shape)

    def run(self, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run once on `x`, batch first, of the input's shape and type; return a copy of the output.

        Raises:
            ValueError: `x` has another shape than the program was built for.
        """
        stored = np.full(tuple(self._input.shape), self._input_fill, str(self._input.dtype))
        inside = _inside(stored, self._input_border)
        if x.shape != inside.shape:
            raise ValueError(f"expected an input of shape {inside.shape}, found {x.shape}")
        inside[...] = x
        self._input.copyfrom(stored)
        self.execute()
        return self.value(self._output_name)

    def value(self, name: str) -> npt.NDArray[Any]:
        """Return a copy of a tensor as the last run left it, batch first.

        Only the output and the tensors that the program was linked to keep are still what their
        operators wrote.

        Raises:
            KeyError: the program has no such tensor.
        """
        return np.array(_inside(self._tensors[name].numpy(), self._borders[name]))

    def execute(self) -> None:
        """Run once on the input that the last `run` left in place; nothing is copied."""
        self._call()

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        """Return the mean milliseconds of one execution in each of `repeats` repeats."""
        evaluator = self._machine.time_evaluator(_BOUND, tvm.cpu(), number=loops, repeat=repeats)
        return [1000.0 * float(seconds) for seconds in evaluator().results]

    def stamps(self, executions: int) -> npt.NDArray[np.int64]:
        """Run with stamps; return the times of the last executions, `[executions, count, 2]`.

        Raises:
            RuntimeError: the program was linked without stamps.
        """
        if self._stamps is None:
            raise RuntimeError("this program was linked without stamps")
        counter, times = self._stamps
        call = self._machine[_BOUND_STAMPED]
        executions = min(executions, int(times.shape[0]))
        counter.copyfrom(np.zeros(1, np.int32))
        for _ in range(executions):
            call()
        return np.array(times.numpy()[:executions])

    def _bind_stamps(self, stamps: Any, tensors: list[Any]) -> tuple[Any, Any] | None:
        if not stamps:
            return None
        counter = tvm.runtime.tensor(np.zeros(1, np.int32))
        times = tvm.runtime.tensor(np.zeros((stamps["rows"], stamps["count"], 2), np.int64))
        self._machine.save_function(
            STAMPED, _BOUND_STAMPED, *tensors, counter, times, include_return=False
        )
        return counter, times


def _inside(stored: npt.NDArray[Any], border: tuple[int, int]) -> npt.NDArray[Any]:
    """Return a view of a tensor without its border."""
    rows, columns = border
    if not rows and not columns:
        return stored
    return stored[:, rows : stored.shape[1] - rows, columns : stored.shape[2] - columns]
