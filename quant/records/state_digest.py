"""The digest of a module's state: equal where every tensor is, by name, dtype, shape and bytes."""

import hashlib
from collections.abc import Mapping

import torch

from quant.tensors.moving import fetch


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Return a digest of tensors by name, whatever their order."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(fetch(value.detach()).contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
