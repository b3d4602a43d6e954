"""Curvatures: the loss's second derivatives along random signs, block by block, batch by batch.

Each batch's are computed by themselves, and so are some blocks' of a batch, wherever that is: what
others would have drawn before is drawn and dropped.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from quant.network import QuantizedNetwork
from quant.objective.loss import Loss
from quant.records.progress import Progress
from quant.sensitivities.batches import Batch, Batches
from quant.sensitivities.taps import Taps, tensors_read
from quant.tensors.devices import has_float64
from quant.tensors.moving import fetch, like, number

Block = tuple[str, str]
"""`("weight", layer)`, or `("input", node)` of the values that layers read of a node."""

_DROPPED_TOGETHER = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Signs:
    """The random signs that curvatures are taken along."""

    draws: int
    """Of each block and batch."""
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curvatures:
    """What one batch comes to."""

    loss: float
    """Summed over its images."""
    found: torch.Tensor
    """`v' H v` of the summed loss, float64 `[draws, blocks]`."""


CurvaturesOf = Callable[[Signs, int, int], Iterable[Curvatures]]
"""Takes signs, and numbers of batches and of blocks; returns each batch's, in this order."""


def blocks_of(network: QuantizedNetwork) -> list[Block]:
    """Name the blocks of the Hessian: each layer's weight, and each node that layers read."""
    order = [layer.name for layer in network.layers]
    readings = [one for readings in tensors_read(network).values() for one in readings]
    nodes = dict.fromkeys(one.node for one in sorted(readings, key=lambda r: order.index(r.layer)))
    return [
        *(("weight", layer.name) for layer in network.weight_layers),
        *(("input", node) for node in nodes),
    ]


def curvatures(
    network: QuantizedNetwork,
    batches: Batches,
    signs: Signs,
    *,
    loss: Loss,
    progress: Progress | None = None,
) -> Iterator[Curvatures]:
    """Yield the curvatures of all blocks on one batch after another.

    Args:
        network: Calibrated; nothing of it is changed.
        batches: Images and labels.
        signs: Random signs.
        loss: Whose second derivatives these are.
        progress: Called with (blocks done, blocks in all), each batch's counted anew.
    """
    generator = torch.Generator().manual_seed(signs.seed)
    for done, batch in enumerate(batches):
        taken = _Gradients(network, batch, loss)
        found = torch.zeros(signs.draws, len(taken.blocks), dtype=torch.float64)
        for place in range(len(taken.blocks)):
            found[:, place] = taken.along(place, signs.draws, generator)
            if progress:
                progress(done * len(taken.blocks) + place + 1, len(batches) * len(taken.blocks))
        come_to = Curvatures(loss=taken.loss, found=found)
        del taken  # all that was kept for its second derivatives, before there is more of it
        yield come_to


def some_curvatures(
    network: QuantizedNetwork,
    batch: Batch,
    signs: Signs,
    blocks: range,
    *,
    number: int,
    size: int,
    loss: Loss,
) -> Curvatures:
    """Return the curvatures of some blocks on one batch: to the bit what `curvatures` yields.

    Args:
        network: Calibrated; nothing of it is changed.
        batch: Images and labels.
        signs: Random signs.
        blocks: Places among `blocks_of`.
        number: How many batches come before this one.
        size: Images of each of those.
        loss: Whose second derivatives these are.
    """
    taken = _Gradients(network, batch, loss)
    generator = torch.Generator().manual_seed(signs.seed)
    before = sum(taken.values(place, number, number * size) for place in range(len(taken.blocks)))
    before += sum(taken.values(place, 1, len(batch[0])) for place in range(blocks.start))
    _drop(signs.draws * before, generator)
    found = [taken.along(place, signs.draws, generator) for place in blocks]
    return Curvatures(loss=taken.loss, found=torch.stack(found, dim=1))


class _Gradients:
    """The gradients of one batch's loss, which can be differentiated once more."""

    def __init__(self, network: QuantizedNetwork, batch: Batch, loss: Loss) -> None:
        images, labels = batch
        names = blocks_of(network)
        # Attention has second derivatives where it is computed step by step alone.
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
            taps = Taps(network, images)
            total = loss.total(taps.network_outputs, labels)
            self.blocks: list[torch.Tensor] = [
                network.layer(n).weight for kind, n in names if kind == "weight"
            ]
            self.blocks += [taps.inputs[node] for kind, node in names if kind == "input"]
            self._gradients = torch.autograd.grad(
                total, self.blocks, create_graph=True, materialize_grads=True
            )
        self.loss = number(total)
        self._weights = sum(kind == "weight" for kind, _ in names)
        self._images = len(images)

    def values(self, place: int, batches: int, images: int) -> int:
        """Return how many values a block has in some batches of so many images together."""
        size = self.blocks[place].numel()
        return batches * size if place < self._weights else images * (size // self._images)

    def along(self, place: int, draws: int, generator: torch.Generator) -> torch.Tensor:
        """Return `v' H v` of one block for each of its draws, float64 `[draws]`."""
        gradient, block = self._gradients[place], self.blocks[place]
        with sdpa_kernel(SDPBackend.MATH):
            found = [_curvature(gradient, block, generator) for _ in range(draws)]
        return torch.tensor(found, dtype=torch.float64)


def _curvature(gradient: torch.Tensor, block: torch.Tensor, generator: torch.Generator) -> float:
    """Return `v' H v` of one block for random signs v."""
    # Drawn in any case: what the next block draws depends on nothing but the shapes before it.
    drawn = torch.randint(0, 2, block.shape, generator=generator, dtype=block.dtype) * 2 - 1
    if not gradient.requires_grad:  # the loss is not of what this block is computed for
        return 0.0
    signs = like(drawn, block)
    (product,) = torch.autograd.grad(
        gradient, block, grad_outputs=signs, retain_graph=True, materialize_grads=True
    )
    along = signs * product
    return number((along if has_float64(along.device) else fetch(along)).sum(dtype=torch.float64))


def _drop(values: int, generator: torch.Generator) -> None:
    """Draw so many signs for nothing."""
    for first in range(0, values, _DROPPED_TOGETHER):
        some = min(_DROPPED_TOGETHER, values - first)
        torch.randint(0, 2, (some,), generator=generator, dtype=torch.float32)
