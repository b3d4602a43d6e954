"""Finding the state dict among what a training script saved."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from env.tasks.weights.file import SAVE, Placeholder
from quant.errors import DataError

_AVERAGED = ("state_dict_ema", "model_ema", "params_ema", "ema_state_dict", "ema")
"""Keys of weights averaged over the training; where they are kept, they are what is published."""
_PLAIN = ("state_dict", "model_state_dict", "model", "net", "params", "network", "module")
_DEEPEST = 3
"""Dictionaries within dictionaries that are looked into."""

State = dict[str, torch.Tensor]


def find_state(document: Any, file: Path) -> tuple[State, str]:
    """Return the state dict that a document is or holds, and the key it was chosen by, if any.

    Args:
        document: What the file held.
        file: For messages.

    Raises:
        DataError: it holds a whole network, none, or several and none is known as the one.
    """
    found = dict(_states(document, "", _DEEPEST))
    words = (*_AVERAGED, *_PLAIN)
    known = [key for word in words for key in found if word in key.split(".")]
    if known:
        return found[known[0]], known[0]
    whole = _whole(document)
    if whole is not None:
        raise DataError(
            f"{file} holds a whole network, a pickled {whole.class_name}, not a state dict",
            f"load it where that class is, and save its weights: {SAVE}",
        )
    if len(found) > 1:
        raise DataError(
            f"{file}: expected one state dict, found several: {', '.join(found)}",
            f"save the one that is meant: {SAVE}",
        )
    if not found:
        raise DataError(
            f"{file}: expected a state dict, tensors by name, found {_described(document)}",
            f"save one: {SAVE}",
        )
    return next(iter(found.values())), next(iter(found))


def _states(document: Any, key: str, depth: int) -> Iterator[tuple[str, State]]:
    """Yield dictionaries of tensors by name, with the keys under which they lie."""
    if _is_pairs(document):
        document = dict(document)
    if not isinstance(document, Mapping):
        return
    tensors = {
        name: value
        for name, value in document.items()
        if isinstance(name, str) and isinstance(value, torch.Tensor)
    }
    inner = [
        state
        for name, value in document.items()
        if depth and isinstance(name, str) and name not in ("optimizer", "scheduler", "scaler")
        for state in _states(value, f"{key}.{name}" if key else name, depth - 1)
    ]
    if tensors and not inner:
        yield key, tensors  # a tensor beside a state dict is a counter or a best accuracy
    yield from inner


def _is_pairs(document: Any) -> bool:
    return (
        isinstance(document, list | tuple)
        and len(document) > 0
        and all(isinstance(p, list | tuple) and len(p) == 2 for p in document)
        and all(isinstance(name, str) for name, _ in document)
    )


def _whole(document: Any) -> Placeholder | None:
    """Return what stands for a pickled network: the document, or what lies where weights do."""
    if isinstance(document, Mapping):
        places = [document[key] for key in (*_AVERAGED, *_PLAIN) if key in document]
        return next((p for p in places if isinstance(p, Placeholder)), None)
    return document if isinstance(document, Placeholder) else None


def _described(document: Any) -> str:
    if isinstance(document, Mapping):
        keys = ", ".join(map(str, list(document)[:5]))
        return f"a dictionary of {keys}" if keys else "an empty dictionary"
    return f"a {type(document).__name__}"
