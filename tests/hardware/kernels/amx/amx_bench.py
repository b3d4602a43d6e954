"""Running layers with AMX, whatever their shapes."""

import ctypes
import mmap
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import tvm

from hardware.kernels.families.amx import AMX
from hardware.kernels.schedule.copying import SLACK_BYTES
from tests.hardware.kernels.amx.emulator import Emulator, amx_target
from tests.hardware.kernels.single_op import Bench, Shape

_LINE = 64


class AmxBench(Bench):
    """Plans, compiles and runs single layers with AMX's family."""

    def __init__(self, folder: Any, emulator: Emulator | None) -> None:
        super().__init__(folder)
        self.target = amx_target()
        self.cache._target = self.target
        self.family = lambda *_: AMX
        self.running: Callable[[], AbstractContextManager[Any]] = nullcontext
        if emulator is not None:
            self.running = emulator.running

    def run(self, op: Any, inputs: list[np.ndarray], out_shape: Shape, out_dtype: Any) -> Any:
        with self.running():
            return super().run(op, inputs, out_shape, out_dtype)

    def run_guarded(
        self, op: Any, inputs: list[np.ndarray], out_shape: Shape, out_dtype: Any
    ) -> Any:
        """Run a layer whose tensors end right before memory that nobody may touch."""
        plan = self.plan(op, inputs, out_shape, out_dtype)
        (module,) = self.cache.load([plan])
        # A kernel may read so far beyond a tensor, against weights of zero, and no further.
        tensors = [guarded(array, SLACK_BYTES) for array in inputs]
        tensors += [guarded(array) for array in plan.constants]
        output = guarded(np.full(out_shape, 77, out_dtype))
        with self.running():
            module[plan.symbol](*(tvm.runtime.from_dlpack(one) for one in (*tensors, output)))
        return output


def guarded(array: np.ndarray, slack_bytes: int = 0) -> np.ndarray:
    """Return a copy that ends within a cache line of a page that cannot be read.

    Args:
        array: Of any numbers.
        slack_bytes: Bytes between its end and the page, besides.
    """
    page = mmap.PAGESIZE
    size = array.nbytes + slack_bytes
    memory = mmap.mmap(-1, (-(-size // page) + 1) * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    end = len(memory) - page
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(start + end), ctypes.c_size_t(page), 0) == 0
    place = (end - size) // _LINE * _LINE
    copy = np.frombuffer(memory, array.dtype, array.size, place).reshape(array.shape)
    copy[...] = array
    return copy
