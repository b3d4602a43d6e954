"""Reading IDX files (the MNIST family's format), checked before they are believed."""

import gzip
import hashlib
import io
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quant.errors import DataError

_UNSIGNED_BYTE = 0x08
_MOST_BYTES = 1 << 28
"""Of one file; the largest of the family has 47 million."""


def read_idx(path: Path, *, dimensions: int, sha256: str, hint: str) -> npt.NDArray[np.uint8]:
    """Return the array of one gzip-compressed IDX file of unsigned bytes.

    Args:
        path: The `.gz` file.
        dimensions: Expected number of dimensions: 1 for labels, 3 for images.
        sha256: Expected digest of the compressed file.
        hint: Where a right file comes from, shown with every complaint.

    Raises:
        DataError: missing, truncated, of another format, or with another digest.
    """
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the data file {path}: {error.strerror}", hint) from None
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as opened:
            # No more than its header promises: a small file can unpack to any size.
            header = opened.read(4 + 4 * dimensions)
            data = header + opened.read(_values(header) + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} is truncated or no gzip file: {error}", hint) from None
    array = _parse(path, data, dimensions, hint)
    digest = hashlib.sha256(packed).hexdigest()
    if digest != sha256:
        raise DataError(
            f"{path}: expected the sha256 {sha256[:16]}..., found {digest[:16]}...", hint
        )
    return array


def _values(header: bytes) -> int:
    """Return how many bytes follow a header; of what is no header, too few to matter."""
    sizes = np.frombuffer(header[4 : len(header) // 4 * 4], dtype=">u4")
    return min(math.prod(int(size) for size in sizes), _MOST_BYTES)


def _parse(path: Path, data: bytes, dimensions: int, hint: str) -> npt.NDArray[np.uint8]:
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if data[:4] != magic:
        raise DataError(
            f"{path}: expected the IDX magic {magic.hex()}, found {data[:4].hex()}", hint
        )
    shape = tuple(int(size) for size in np.frombuffer(data[4:header], dtype=">u4"))
    expected = header + _values(data[:header])
    if len(data) != expected:
        raise DataError(f"{path}: expected {expected} bytes, found {len(data)}", hint)
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)
