"""A device that is not here: tensors on it have shapes and no values.

`meta` stands for an accelerator. A step that leaves a tensor behind is refused where the two meet,
as an accelerator would, and one that reads a value past `quant.tensors.moving` by PyTorch itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from quant import quantizer
from quant.retraining import compensation, logit_fit
from quant.tensors import moving

META = torch.device("meta")
_CROSSING = {torch.ops.aten.copy_.default}
"""Operators that take tensors of two devices: they are what moves."""


class NoMixing(TorchDispatchMode):
    """Refuses operators whose tensors are on two devices; a scalar of the CPU may join any."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.there: set[str] = set()
        """Operators that ran on the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        kinds = {x.device.type for x in given if x.ndim or x.device.type != "cpu"}
        if len(kinds) > 1 and func not in _CROSSING:
            shapes = [f"{list(x.shape)} on {x.device}" for x in given]
            raise AssertionError(f"{func} mixes devices: {', '.join(shapes)}")
        if META.type in kinds:
            self.there.add(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[NoMixing]:
    """Watch what is done; values that are read from the device are all ones.

    What tries many values one after another tries few: this device is slow at each.
    """

    def ones(value: torch.Tensor) -> torch.Tensor:
        return torch.ones(value.shape, dtype=value.dtype)

    with monkeypatch.context() as patched, NoMixing() as watched:
        patched.setattr(moving, "_read", ones)
        patched.setattr(quantizer, "_CLIPPING_SHARES", torch.tensor([0.5, 0.75, 1.0]))
        patched.setattr(quantizer, "_STEP_REFINEMENTS", torch.tensor([0.95, 1.0, 1.25]))
        patched.setattr(compensation, "_LAST_MOVES", [0.0, 0.5])
        patched.setattr(logit_fit, "_ITERATIONS", 1)
        yield watched
