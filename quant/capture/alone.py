"""Whether what a network answers to an image depends on that image alone."""

from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from quant.capture.exported import operator_name, uncast, where
from quant.errors import CaptureError

_BATCH = 3
_ALIKE = 1e-4
"""Largest difference of equal answers, as a share of the largest: float sums differ in order."""


@torch.no_grad()
def check_alone(module: nn.Module, program: Any, shape: tuple[int, ...]) -> None:
    """Refuse a network that looks at the other images of a batch: a board gives it one at a time.

    Args:
        module: The network, in evaluation mode.
        program: The same, exported.
        shape: Of its input, without the batch.

    Raises:
        CaptureError: it fails, or an operator, which is named, mixes images.
    """
    images = _images(program, shape)
    try:
        together, alone = tree_leaves(module(images)), tree_leaves(module(images[:1]))
    except Exception as error:  # whatever the forward pass raises
        raise CaptureError(
            f"{type(module).__name__} fails on images of normal random numbers: "
            f"{next(iter(str(error).splitlines()), type(error).__name__)}"
        ) from error
    if all(map(_are_alike, together, alone)):
        return
    exported = program.module()
    values, other = _Values(exported), _Values(exported)
    values.run(images)
    other.run(images[:1])
    mixing = [
        node
        for node, value in values.found.items()
        if hasattr(node.target, "_schema") and not _are_alike(value, other[node])
    ]
    place = f"; {operator_name(mixing[0])} mixes them: {where(mixing[0])}" if mixing else ""
    raise CaptureError(
        "expected a network whose answer to an image does not depend on the images beside it in "
        f"the batch, found that it does{place}",
        "take means, norms and sizes of each image alone",
    )


def _images(program: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """Return normal random numbers, or tokens that the program's embeddings know."""
    generator = torch.Generator().manual_seed(0)
    known = [
        int(node.args[0].meta["val"].shape[0])
        for node in program.graph.nodes
        if node.op == "call_function"
        and operator_name(node) == "embedding"
        and uncast(node.args[1]).name in program.graph_signature.user_inputs
    ]
    if not known:
        return torch.randn(_BATCH, *shape, generator=generator)
    return torch.randint(min(known), (_BATCH, *shape), generator=generator).float()


def _are_alike(together: Any, alone: Any) -> bool:
    """Whether a tensor of a batch is, at its first image, what that image alone makes.

    Tensors whose batch comes later, and what is no tensor, pass.
    """
    if not isinstance(together, torch.Tensor) or not together.is_floating_point():
        return True
    if together.shape != alone.shape:
        if together.shape[1:] != alone.shape[1:]:
            return True
        together = together[: len(alone)]
    size = float(together.abs().nan_to_num(0.0, 0.0, 0.0).max()) if together.numel() else 0.0
    return torch.allclose(together, alone, rtol=0.0, atol=_ALIKE * size, equal_nan=True)


class _Values(fx.Interpreter):
    """Runs a program and keeps what each node made."""

    def __init__(self, program: fx.GraphModule) -> None:
        super().__init__(program)
        self.found: dict[fx.Node, Any] = {}

    def __getitem__(self, node: fx.Node) -> Any:
        return self.found[node]

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        self.found[n] = super().run_node(n)
        return self.found[n]
