"""Loss: why a worker is not there any more, or has to begin anew, by what Ray raises."""

from dataclasses import dataclass
from typing import Any

import torch

from experiments.cluster.reach import shortened
from experiments.errors import ConfigError
from hardware.errors import HardwareLostError
from quant.errors import BitAllocError

_AGAIN = "a run goes on with --resume RUN, another command where it is typed again"
_HINT = f"bring machines back; {_AGAIN}"
_MEMORY_HINT = f"give a machine fewer workers, or them smaller batches; {_AGAIN}"
_FULL = ("DefaultCPUAllocator", "MemoryError", "out of memory")
"""What Python, and PyTorch's sentences about memory that they did not get, have in them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Why a worker was lost."""

    reason: str
    """In a line."""
    memory: bool
    """Whether it, or its machine, had too little."""
    begun: bool
    """Whether there was a worker: one that cannot be made anywhere is no machine's fault."""

    @property
    def of_piece(self) -> HardwareLostError:
        """The end of a piece of work that several workers were lost with."""
        return HardwareLostError(
            f"a piece of work was lost with each of the workers that tried it: {self.reason}",
            self._hint,
        )

    @property
    def _hint(self) -> str:
        return _MEMORY_HINT if self.memory else _HINT

    @property
    def of_last(self) -> BitAllocError:
        """The end of a crew that has no worker left."""
        if self.begun:
            return HardwareLostError(
                f"the last worker of the Ray cluster was lost: {self.reason}", self._hint
            )
        return ConfigError(
            f"train.ray: no worker of the Ray cluster can begin: {self.reason}",
            "each machine needs this BitAlloc and its extra [ray], and your own modules and "
            "folders at the same paths",
        )


def no_machine() -> HardwareLostError:
    """Return the end of a crew whose workers did not come back in time."""
    return HardwareLostError("no machine of the Ray cluster is left to work on", _HINT)


def loss_of(ray: Any, error: Exception) -> Loss | None:
    """Return the loss that an error tells of; None where it is a defect of the work itself.

    A worker that got no memory for its work lives, and is not to keep it from others.
    """
    known = ray.exceptions
    full = isinstance(error, MemoryError | torch.OutOfMemoryError) or _FULL[0] in str(error)
    ended = isinstance(error, known.OutOfMemoryError)  # by Ray, before the kernel does it
    lost = (
        *(known.RayActorError, known.ObjectLostError),
        *(known.NodeDiedError, known.WorkerCrashedError),
    )
    if full or ended:
        return Loss(reason="there was too little memory", memory=True, begun=True)
    if not isinstance(error, lost):
        return None
    if getattr(error, "actor_init_failed", False):
        last = [line for line in str(error).splitlines() if line.strip()][-1]
        full = any(words in last for words in _FULL)
        return Loss(reason=shortened(last), memory=full, begun=full)
    return Loss(reason=shortened(str(error)), memory=False, begun=True)
