"""Moving: the one place where tensors go to a device, and where values come back from it.

Whatever trains, calibrates, estimates or scores moves its tensors by `move` and `place`, and reads
values by `fetch` and `number`: each of the latter waits for an accelerator to catch up. On the CPU
all of them return what they are given.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import fx, nn

from quant.tensors.devices import CPU, has_float64


def device_of(module: nn.Module) -> torch.device:
    """Return where a module's values are; the CPU where it has none."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return CPU if first is None else first.device


def move(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on a device, itself where it is there."""
    return value.to(device, non_blocking=value.device == CPU and value.is_pinned())


def like(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return a tensor on another's device, itself where it is there."""
    return value if value.device == other.device else move(value, other.device)


def fetch(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor on the CPU, without a gradient where it was elsewhere."""
    return value if value.device == CPU else _read(value.detach())


def number(value: torch.Tensor) -> float:
    """Return a scalar tensor's value."""
    return float(fetch(value.detach()))


def doubles(value: torch.Tensor) -> torch.Tensor:
    """Return a tensor in double precision, on the CPU where its own device has none."""
    return (value if has_float64(value.device) else fetch(value)).double()


def place(module: nn.Module, device: torch.device) -> None:
    """Move a module's values to a device, in place."""
    if device_of(module) == device:
        return
    module._apply(fetch if device == CPU else lambda value: move(value, device))
    for part in module.modules():
        if isinstance(part, fx.GraphModule):
            _retarget(part, device)


@contextmanager
def placed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Have a module on a device for a while."""
    before = device_of(module)
    place(module, device)
    try:
        yield
    finally:
        place(module, before)


def _read(value: torch.Tensor) -> torch.Tensor:
    """Wait for an accelerator. A test on a device without values puts another in its place."""
    return value.cpu()


def _retarget(module: fx.GraphModule, device: torch.device) -> None:
    """Have a captured program make its own tensors on a device: a trace has its CPU written in."""
    changed = False
    for node in module.graph.nodes:
        if node.kwargs.get("device") is not None:
            node.kwargs = {**node.kwargs, "device": device}
            changed = True
    if changed:
        module.recompile()
