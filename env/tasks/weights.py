"""Weights from a file: a state dict whose names are the network's."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from quant.errors import DataError

_WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Keys under which training scripts put the state dict beside other things."""


def load_weights(module: nn.Module, file: Path) -> None:
    """Load a state dict into a network, in place.

    Args:
        module: The network; torchvision's names fit the networks that torchvision has.
        file: `.safetensors`, or what `torch.save` wrote; read with `weights_only=True`, so that
            nothing in it is executed.

    Raises:
        DataError: the file is missing, damaged or no state dict, or does not fit the network.
    """
    state = _unwrap(_read(file), file)
    own = module.state_dict()
    missing = [name for name in own if name not in state and "num_batches_tracked" not in name]
    unknown = [name for name in state if name not in own]
    if missing or unknown:
        found = f"has no {missing[0]!r}" if missing else f"has {unknown[0]!r}, which it has not"
        raise DataError(
            f"{file} does not fit the network: it {found} "
            f"({len(missing)} missing, {len(unknown)} unknown)",
            "choose the network with --task.network, or rename the entries",
        )
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise DataError(
                f"{file}: expected {name} of shape {list(own[name].shape)}, "
                f"found {list(value.shape)}",
                "the network has as many classes and channels as the data",
            )
    module.load_state_dict(state, strict=False)


def _read(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = next(iter(str(error).splitlines()), "")
        raise DataError(
            f"{file} is damaged, or holds more than tensors: {reason}",
            "save the network's state_dict()",
        ) from None
    except (OSError, RuntimeError, EOFError, SafetensorError) as error:
        raise DataError(
            f"cannot read the weights {file}: {error}",
            "give a state dict that torch.save or safetensors wrote",
        ) from None


def _unwrap(document: Any, file: Path) -> Mapping[str, torch.Tensor]:
    for key in _WRAPPERS:
        if isinstance(document, Mapping) and isinstance(document.get(key), Mapping):
            document = document[key]
    if not isinstance(document, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in document.values()
    ):
        raise DataError(f"{file}: expected a state dict of tensors", "save network.state_dict()")
    # DataParallel and torch.compile put their own word in front of every name.
    state: dict[str, torch.Tensor] = dict(document)
    for prefix in ("module.", "_orig_mod."):
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state
