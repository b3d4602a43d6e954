"""What is done with the outputs of batches, of one tensor or several."""

from collections.abc import Sequence

import torch

from quant.outputs import NamedTensors, Outputs
from quant.tensors.moving import fetch


def join(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of several batches as those of one."""
    if isinstance(parts[0], torch.Tensor):
        return torch.cat([part for part in parts if isinstance(part, torch.Tensor)])
    return NamedTensors(map(torch.cat, zip(*parts, strict=True)), parts[0].names)


def pick(outputs: Outputs, images: torch.Tensor | slice) -> Outputs:
    """Return the outputs of some images, by numbers int64 `[M]` or a slice."""
    if isinstance(outputs, torch.Tensor):
        return outputs[images]
    return NamedTensors((each[images] for each in outputs), outputs.names)


def fetch_outputs(outputs: Outputs) -> Outputs:
    """Return outputs on the CPU."""
    if isinstance(outputs, torch.Tensor):
        return fetch(outputs)
    return NamedTensors(map(fetch, outputs), outputs.names)


def has_gradient(outputs: Outputs) -> bool:
    """Whether gradients can go through any of the outputs."""
    if isinstance(outputs, torch.Tensor):
        return outputs.requires_grad
    return any(each.requires_grad for each in outputs)


def describe(outputs: Outputs) -> str:
    """Return the shapes in words."""
    if isinstance(outputs, torch.Tensor):
        return str(list(outputs.shape))
    return f"{len(outputs)} outputs {', '.join(str(list(each.shape)) for each in outputs)}"
