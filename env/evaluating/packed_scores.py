"""Packed scores: what a network made of each image, as a document of the store."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from quant.retraining.accuracy import ImageScores

_LOSS = np.dtype("<f4")


def pack_scores(scores: ImageScores) -> dict[str, Any]:
    """Return scores of N images in about 4 N bytes."""
    return {
        "count": len(scores),
        "correct": _as_text(np.packbits(scores.correct.numpy()).tobytes()),
        "loss": _as_text(scores.loss.numpy().astype(_LOSS).tobytes()),
    }


def unpack_scores(document: Mapping[str, Any]) -> ImageScores:
    """Return what `pack_scores` wrote, to the bit.

    Raises:
        ValueError: the document is of another form, or damaged.
    """
    try:
        count = int(document["count"])
        bits = _from_text(document["correct"], -(-count // 8))
        loss = np.frombuffer(_from_text(document["loss"], count * _LOSS.itemsize), _LOSS)
    except (KeyError, TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"expected packed scores, found {error!r}") from None
    if not np.isfinite(loss).all() or loss.min(initial=0.0) < 0.0:
        raise ValueError("expected losses from 0, found others")
    correct = np.unpackbits(np.frombuffer(bits, np.uint8), count=count).astype(np.bool_)
    return ImageScores(
        correct=torch.from_numpy(correct),
        loss=torch.from_numpy(loss.astype(np.float32)),  # a copy, which may be written to
    )


def _as_text(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _from_text(text: str, expected: int) -> bytes:
    content = zlib.decompress(base64.b64decode(text, validate=True))
    if len(content) != expected:
        raise ValueError(f"expected {expected} packed bytes, found {len(content)}")
    return content
