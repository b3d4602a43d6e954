"""Packed scores and looks: what networks made of each image, as documents of the store."""

import base64
import binascii
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from quant.objective.metric import Metric
from quant.objective.scores import ImageScores
from quant.records.json_form import from_plain, to_plain

_LOSS, _SCORE = np.dtype("<f4"), np.dtype("<f8")


def pack_scores(scores: ImageScores) -> dict[str, Any]:
    """Return scores of N images in about 4 N bytes where each is right or wrong, else in 12 N."""
    document: dict[str, Any] = {
        "count": len(scores),
        "metric": to_plain(scores.metric),
        "value": scores.value,
        "loss": _pack(scores.loss, _LOSS),
    }
    if scores.each is not None and not scores.each.is_floating_point():
        document["correct"] = _as_text(np.packbits(scores.each.numpy()).tobytes())
    elif scores.each is not None:
        document["each"] = _pack(scores.each, _SCORE)
    elif scores.resampled is not None:
        document["samples"] = len(scores.resampled)
        document["resampled"] = _pack(scores.resampled, _SCORE)
    return document


def unpack_scores(document: Mapping[str, Any]) -> ImageScores:
    """Return what `pack_scores` wrote, to the bit.

    Raises:
        ValueError: the document is of another form, or damaged.
    """
    try:
        count, each, resampled = int(document["count"]), None, None
        loss = _unpack(document["loss"], count, _LOSS)
        if "correct" in document:
            bits = np.frombuffer(_from_text(document["correct"], -(-count // 8)), np.uint8)
            each = torch.from_numpy(np.unpackbits(bits, count=count).astype(np.bool_))
        elif "each" in document:
            each = _unpack(document["each"], count, _SCORE)
        elif "resampled" in document:
            resampled = _unpack(document["resampled"], int(document["samples"]), _SCORE)
        metric, value = from_plain(Metric, document["metric"]), float(document["value"])
    except (KeyError, TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"expected packed scores, found {error!r}") from None
    return ImageScores(metric=metric, value=value, each=each, resampled=resampled, loss=loss)


def pack_looks(losses: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Return the losses of several looks at the same N images in about 4 N bytes each."""
    return {"count": len(losses[0]), "losses": [_pack(each, _LOSS) for each in losses]}


def unpack_looks(document: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Return what `pack_looks` wrote, to the bit.

    Raises:
        ValueError: the document is of another form, or damaged.
    """
    try:
        count = int(document["count"])
        return tuple(_unpack(text, count, _LOSS) for text in document["losses"])
    except (KeyError, TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"expected packed losses, found {error!r}") from None


def _pack(values: torch.Tensor, form: np.dtype[Any]) -> str:
    return _as_text(values.numpy().astype(form).tobytes())


def _unpack(text: str, count: int, form: np.dtype[Any]) -> torch.Tensor:
    found = np.frombuffer(_from_text(text, count * form.itemsize), form)
    if not np.isfinite(found).all():
        raise ValueError("expected finite values, found others")
    return torch.from_numpy(found.astype(form.newbyteorder("=")))  # a copy, which may be written


def _as_text(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _from_text(text: str, expected: int) -> bytes:
    content = zlib.decompress(base64.b64decode(text, validate=True))
    if len(content) != expected:
        raise ValueError(f"expected {expected} packed bytes, found {len(content)}")
    return content
