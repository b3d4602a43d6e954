"""Files of named tensors, safetensors: data that cannot run a program."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from quant.records.atomic_file import atomic_file


def write_tensors(
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    *,
    metadata: Mapping[str, str] | None = None,
    durable: bool = False,
) -> None:
    """Write tensors in one step; see `atomic_file`.

    Args:
        path: Where the file goes; its folder must exist.
        tensors: By name, none sharing memory with another.
        metadata: Text that is kept beside them.
        durable: Whether the content is on the disk before it replaces what is there.

    Raises:
        SafetensorError: two tensors share memory, or one cannot be kept.
        OSError: the file cannot be written.
    """
    with atomic_file(path, durable=durable) as made:
        made.touch()
        usual = made.stat().st_mode
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(whole, made, metadata=None if metadata is None else dict(metadata))
        made.chmod(usual)  # its library leaves files that only their owner may read
