"""Inputs and labels as arrays, whatever the user's function returns them as."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.utils.data import DataLoader

from quant.errors import DataError

RETURNS = (
    'return {"train": (inputs, labels), "test": (inputs, labels)}, with "search" as well if the '
    "split should be yours"
)
_LARGEST = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
"""Largest value of pixels that files have as whole numbers."""
_TOO_LARGE = float(np.sqrt(np.finfo(np.float32).max))
"""Inputs whose squares leave float32 can be neither learned from nor calibrated on."""

Array = npt.NDArray[Any]


def read_arrays(given: Any, where: str) -> tuple[Array, Array]:
    """Return inputs `[N, ...]` and labels `[N, ...]` of one part, of any type.

    Args:
        given: A pair of arrays, tensors or lists; or a data set, a list or a loader of examples.
        where: What returned it, for messages.

    Raises:
        DataError: it is none of these, or its lengths or shapes differ.
    """
    if isinstance(given, tuple | list) and len(given) == 2:
        inputs, labels = (_array(value, where) for value in given)
    elif isinstance(given, DataLoader):
        batches = [
            [_array(value, where) for value in _pair(batch, where)]
            for batch in _examples(given, "batch", where)
        ]
        inputs, labels = (
            _joined(np.concatenate, part, where) for part in zip(*batches, strict=True)
        )
    elif hasattr(given, "__getitem__") and hasattr(given, "__len__") and len(given):
        if isinstance(given, Mapping | str | bytes | np.ndarray | torch.Tensor):
            raise DataError(f"{where}: expected (inputs, labels), found {_kind(given)}", RETURNS)
        numbered = (given[index] for index in range(len(given)))
        examples = [_pair(example, where) for example in _examples(numbered, "example", where)]
        inputs, labels = (_array(list(part), where) for part in zip(*examples, strict=True))
    else:
        raise DataError(f"{where}: expected (inputs, labels), found {_kind(given)}", RETURNS)
    if inputs.ndim < 2 or not labels.ndim or len(inputs) != len(labels) or not len(labels):
        raise DataError(
            f"{where}: expected inputs [N, ...] and labels [N] or [N, ...], found "
            f"{list(inputs.shape)} and {list(labels.shape)}",
            RETURNS,
        )
    return inputs, labels


def as_inputs(inputs: Array, where: str) -> tuple[torch.Tensor, float]:
    """Return inputs as float32, and what their pixels were divided by, 1 where by nothing.

    Pixels of 8 or 16 bits are brought to 0..1; all other numbers stay as they are.

    Raises:
        DataError: they are no numbers, not finite, or too large.
    """
    if inputs.dtype.kind not in "biuf":
        raise DataError(f"{where}: expected numbers as inputs, found {inputs.dtype}", RETURNS)
    if inputs.dtype.kind == "f":
        wrong = ~np.isfinite(inputs.reshape(len(inputs), -1)).all(1)
        if wrong.any():
            raise DataError(
                f"{where}: expected finite inputs, found NaN or infinity in {int(wrong.sum())} of "
                f"{len(inputs)}, first in number {int(wrong.argmax())}"
            )
    largest = max(abs(float(inputs.max())), abs(float(inputs.min())))
    if largest > _TOO_LARGE:
        raise DataError(
            f"{where}: expected inputs that float32 can compute with, found values up to "
            f"{largest:.2g}",
            "divide them, so that most lie between -1 and 1",
        )
    scale = _LARGEST.get(inputs.dtype, 1.0)
    return torch.from_numpy(np.ascontiguousarray(inputs, np.float32) / np.float32(scale)), scale


def _examples(given: Iterable[Any], called: str, where: str) -> Iterator[Any]:
    """Yield what the user's data set makes, one after the other.

    Raises:
        DataError: it raises, for example because a file is missing.
    """
    made = iter(given)
    for number in itertools.count():
        try:
            example = next(made)
        except StopIteration:
            return
        except Exception as error:  # a user's data set may fail in any way
            reason = next(iter(str(error).strip().splitlines()), "")
            raise DataError(
                f"{where}: {called} {number} raised {type(error).__name__}"
                f"{': ' if reason else ''}{reason}",
                RETURNS,
            ) from error
        yield example


def _pair(example: Any, where: str) -> Sequence[Any]:
    if not isinstance(example, tuple | list) or len(example) != 2:
        raise DataError(
            f"{where}: expected examples of an input and a label, found {_kind(example)}", RETURNS
        )
    return example


def _array(value: Any, where: str) -> Array:
    """Return a value as an array in this machine's byte order."""
    if isinstance(value, torch.Tensor):
        value = value.detach().to_dense() if value.layout != torch.strided else value
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy(force=True)
    elif isinstance(value, list | tuple) and value and not np.isscalar(value[0]):
        value = _joined(np.stack, [_array(one, where) for one in value], where)
    elif not isinstance(value, np.ndarray | list | tuple | Image.Image | int | float | str) and (
        not hasattr(value, "__array__") and not isinstance(value, np.generic)
    ):
        raise DataError(f"{where}: expected arrays or tensors, found {_kind(value)}", RETURNS)
    array = np.asarray(value)
    if array.dtype.kind == "O" and array.size:
        array = np.array(array.tolist()) if _are_alike(array.ravel()) else array
    if array.dtype.kind == "O":
        raise DataError(f"{where}: expected numbers, found objects of Python", RETURNS)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _are_alike(objects: Array) -> bool:
    """Whether Python's objects, as pandas keeps them, are all strings or all numbers."""
    return any(all(isinstance(one, kind) for one in objects) for kind in (str, int | float))


def _joined(join: Any, parts: Iterable[Array], where: str) -> Array:
    try:
        joined: Array = join(list(parts))
    except ValueError:
        shapes = " and ".join(sorted({str(list(part.shape)) for part in parts})[:2])
        raise DataError(f"{where}: expected values of one shape, found {shapes}", RETURNS) from None
    return joined


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"an array {list(value.shape)}"
    length = f" of {len(value)}" if isinstance(value, tuple | list | dict) else ""
    return f"{type(value).__name__}{length}"
