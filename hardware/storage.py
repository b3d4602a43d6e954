"""Where a program's tensors live: storages that are reused once their tensor was last read."""

from dataclasses import dataclass
from math import prod

from quant.deploy_graph import Add, Concat, DeployGraph, DeployOp, DeployTensor, Flatten

__all__ = ["StoragePlan", "plan_storage", "read_names", "tensor_bytes"]

_ITEM_BYTES = {"uint8": 1, "int16": 2, "float32": 4}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoragePlan:
    """Which storage each tensor lives in; tensors that share one are never needed together."""

    slots: dict[str, int]
    """`{tensor: storage}`; a flattened tensor has its source's storage."""
    sizes_bytes: tuple[int, ...]
    """Bytes of each storage."""


def plan_storage(graph: DeployGraph, batch: int) -> StoragePlan:
    """Give every tensor a storage, reusing the smallest free one that is large enough.

    Reuse keeps the bytes a program touches few, as a network on a small device needs it. The
    network's input keeps its storage for itself, so that a program can run again without a copy.
    """
    last_read = _last_reads(graph)
    slots: dict[str, int] = {graph.input: 0}
    sizes = [tensor_bytes(graph.tensors[graph.input], batch)]
    free: list[int] = []
    users = {0: {graph.input}}
    for index, op in enumerate(graph.ops):
        if isinstance(op, Flatten):
            slots[op.output] = slots[op.input]
        else:
            slots[op.output] = _take(tensor_bytes(graph.tensors[op.output], batch), sizes, free)
        users.setdefault(slots[op.output], set()).add(op.output)
        # Only now, so that no kernel writes over what it reads.
        for name in {*read_names(op), op.output}:
            if last_read.get(name, index) <= index and name not in (graph.input, graph.output):
                _release(slots[name], name, users, free)
    return StoragePlan(slots=slots, sizes_bytes=tuple(sizes))


def tensor_bytes(tensor: DeployTensor, batch: int) -> int:
    """Return the bytes of one tensor at a batch size."""
    return batch * prod(tensor.shape) * _ITEM_BYTES[tensor.dtype]


def read_names(op: DeployOp) -> tuple[str, ...]:
    """Return the names of the tensors that an operator reads, in the order of its inputs."""
    return op.inputs if isinstance(op, Add | Concat) else (op.input,)


def _last_reads(graph: DeployGraph) -> dict[str, int]:
    """Return the index of the last operator that reads each tensor."""
    return {name: index for index, op in enumerate(graph.ops) for name in read_names(op)}


def _take(size: int, sizes: list[int], free: list[int]) -> int:
    fitting = [slot for slot in free if sizes[slot] >= size]
    if not fitting:
        sizes.append(size)
        return len(sizes) - 1
    slot = min(fitting, key=lambda candidate: sizes[candidate])
    free.remove(slot)
    return slot


def _release(slot: int, name: str, users: dict[int, set[str]], free: list[int]) -> None:
    """Take one tensor out of its storage; free the storage when it was the last one there."""
    users[slot].discard(name)
    if not users[slot] and slot not in free:
        free.append(slot)
