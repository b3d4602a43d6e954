"""Where a program's tensors live: storages that are reused once their tensor was last read.

Four steps in a chain, on tensors of 64, 100, 80, 60 and 10 bytes, live in three storages:

    tensor            x     a     b     c     y
    bytes            64   100    80    60    10
    storage           0     1     2     1     2      of 64, 100 and 80 bytes

    step 0   x -> a   x     a                        x is the network's input: never reused
    step 1   a -> b   x     a     b                  a is free after this step
    step 2   b -> c   x           b     c            in a's place
    step 3   c -> y   x                 c     y      in b's place
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from hardware.graph.borders import border_code, stored_shape
from hardware.graph.program_steps import Step
from quant.deploy_graph import DeployGraph, DeployTensor, Reshape


@dataclass(frozen=True, kw_only=True, slots=True)
class StoragePlan:
    """Which storage each tensor lives in; tensors that share one are never needed together."""

    slots: dict[str, int]
    """`{tensor: storage}`; a reshaped tensor has its source's storage."""
    sizes_bytes: tuple[int, ...]
    """Bytes of each storage."""
    fills: tuple[int, ...]
    """The code that each storage is filled with before the first run: that of its tensors' borders,
    which no operator writes."""


def plan_storage(graph: DeployGraph, steps: Sequence[Step], batch: int) -> StoragePlan:
    """Give every tensor a storage, reusing the smallest free one that is large enough.

    Reuse keeps the bytes a program touches few, as a network on a small device needs it. The
    network's input keeps its storage for itself, so that a program can run again without a copy.
    Tensors with a border share one only where their borders lie in the same place.
    """
    last_read = {name: index for index, step in enumerate(steps) for name in step.reads}
    pool = _Pool()
    lasting = {graph.input, graph.output, *graph.zeros, *graph.kept}
    slots = {name: pool.take(graph, name, batch) for name in (graph.input, *graph.zeros)}
    users = {slot: {name} for name, slot in slots.items()}
    for index, step in enumerate(steps):
        for name in step.writes:
            if isinstance(step.op, Reshape):
                slots[name] = slots[step.op.input]
            else:
                slots[name] = pool.take(graph, name, batch)
            users.setdefault(slots[name], set()).add(name)
        # Only now, so that no kernel writes over what it reads.
        for name in {*step.reads, *step.writes} - lasting:
            if last_read.get(name, index) <= index:
                users[slots[name]].discard(name)
                if not users[slots[name]]:
                    pool.release(slots[name])
    return StoragePlan(slots=slots, sizes_bytes=tuple(pool.sizes), fills=tuple(pool.fills))


class _Pool:
    """Storages, and which of them are free."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.fills: list[int] = []
        self._kinds: list[tuple[object, ...]] = []
        self._free: list[int] = []

    def take(self, graph: DeployGraph, name: str, batch: int) -> int:
        """Return the smallest free storage that suits a tensor, or a new one."""
        tensor = graph.tensors[name]
        size, fill = tensor_bytes(tensor, batch), 0
        kind: tuple[object, ...] = ()
        if any(tensor.border):
            fill = border_code(graph, name)
            kind = (tensor.shape, tensor.border, fill)
        fitting = [
            slot for slot in self._free if self._kinds[slot] == kind and self.sizes[slot] >= size
        ]
        if fitting:
            slot = min(fitting, key=lambda candidate: self.sizes[candidate])
            self._free.remove(slot)
            return slot
        self.sizes.append(size)
        self.fills.append(fill)
        self._kinds.append(kind)
        return len(self.sizes) - 1

    def release(self, slot: int) -> None:
        """Make a storage free."""
        if slot not in self._free:
            self._free.append(slot)


def tensor_bytes(tensor: DeployTensor, batch: int) -> int:
    """Return the bytes of one tensor, with its border, at a batch size."""
    return prod(stored_shape(tensor, batch)) * np.dtype(tensor.dtype).itemsize
