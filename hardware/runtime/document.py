"""BundleDocument: what `bundle.json` says, each entry checked before anybody relies on it.

Needs numpy alone: this file travels with bundles.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardware.runtime.run import BundleError

VERSIONS = (1, 2)
"""1 had one output, which was the program's, and did not list it."""
_LARGEST = 2**31
_MOST_AXES = 8
_MOST_BITS = 8


@dataclass(frozen=True, kw_only=True)
class ReturnedTensor:
    """One output of the user's network."""

    name: str
    tensor: str
    """Of the program; empty for the program's one output."""
    shape: tuple[int, ...]
    """Without the batch."""
    channels_last: bool


@dataclass(frozen=True, kw_only=True)
class BundleDocument:
    """What a bundle's loader must know."""

    machine: str
    cpu_features: tuple[str, ...]
    labels: tuple[str, ...]
    preprocessing: Mapping[str, Any] | None
    """`largest`, `mean` and `deviation`; None where nobody said."""
    input_shape: tuple[int, ...]
    outputs: tuple[ReturnedTensor, ...]
    """Empty in version 1."""
    constants: tuple[Mapping[str, Any], ...]
    """Where each lies in `weights.bin` (`offset`, `bytes`), and what `read_constant` needs."""


def read_document(file: Path) -> BundleDocument:
    """Read `bundle.json`.

    Raises:
        BundleError: it is no JSON, of another version, or an entry is not what it should be.
    """
    try:
        read = _Entries(json.loads(file.read_text(encoding="utf-8")), str(file))
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{file} is no JSON: {error}; export the bundle again") from None
    version = read.take("version", "a version", lambda value: type(value) is int)
    if version not in VERSIONS:
        raise BundleError(
            f"{file}: expected a bundle of version {VERSIONS[-1]}, found {version}; export it "
            "again, or run its own run.py"
        )
    outputs = read.each("outputs") if version > 1 else []
    preprocessing = read.take("preprocessing", "an object or null", _is_preprocessing)
    return BundleDocument(
        machine=read.text("machine"),
        cpu_features=read.texts("cpu_features"),
        labels=read.texts("labels"),
        preprocessing=preprocessing,
        input_shape=read.shape("input_shape"),
        outputs=tuple(
            ReturnedTensor(
                name=each.text("name"),
                tensor=each.text("tensor"),
                shape=each.shape("shape"),
                channels_last=each.take("channels_last", "true or false", _is_bool),
            )
            for each in outputs
        ),
        constants=tuple(_constant(each) for each in read.each("constants")),
    )


class _Entries:
    """The entries of an object; where one is not what it should be, the sentence names it."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise BundleError(
                f"{where}: expected an object, found {_short(value)}; export the bundle again"
            )
        self._value, self._where = value, where

    def take(self, key: str, what: str, holds: Callable[[Any], bool]) -> Any:
        value = self._value.get(key)
        if not holds(value):
            raise BundleError(
                f"{self._where}: expected {what} in {key}, found {_short(value)}; export the "
                "bundle again"
            )
        return value

    def text(self, key: str) -> str:
        return str(self.take(key, "a text", lambda value: isinstance(value, str)))

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(self.take(key, "a list of texts", _is_list_of(str)))

    def count(self, key: str) -> int:
        return int(self.take(key, "a number from 0", _is_count))

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self.take(key, "a shape", _is_shape))

    def each(self, key: str) -> "list[_Entries]":
        listed = self.take(key, "a list of objects", _is_list_of(dict))
        return [_Entries(value, f"{self._where}, {key} {n}") for n, value in enumerate(listed)]


def _constant(entries: _Entries) -> Mapping[str, Any]:
    return {
        "shape": entries.shape("shape"),
        "dtype": entries.text("dtype"),
        "form": entries.text("form"),
        "offset": entries.count("offset"),
        "bytes": entries.count("bytes"),
        "low": entries.take("low", "a number or nothing", _is_low),
        "bits": entries.take("bits", "0 to 8 or nothing", _is_bits),
    }


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists
        text = type(value).__name__
    return text if len(text) < 60 else f"{text[:60]}..."


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _is_low(value: Any) -> bool:
    return value is None or (type(value) is int and -_LARGEST <= value < _LARGEST)


def _is_bits(value: Any) -> bool:
    return value is None or (_is_count(value) and value <= _MOST_BITS)


def _is_list_of(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, kind) for one in value)


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _MOST_AXES and all(map(_is_count, value))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_preprocessing(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not _is_number(value.get("largest")):
        return False
    means, deviations = value.get("mean"), value.get("deviation")
    if not isinstance(means, list) or not isinstance(deviations, list):
        return False
    return len(means) == len(deviations) and all(map(_is_number, [*means, *deviations]))
