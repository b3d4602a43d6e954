import gzip
import hashlib
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from env.tasks import TaskConfig, load_task
from env.tasks.data_sets.idx_file import read_idx
from quant.errors import DataError


def idx(array: np.ndarray, *, magic: int = 0x0800) -> bytes:
    header = struct.pack(">I", magic + array.ndim)
    return gzip.compress(header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def written(tmp_path: Path, data: bytes) -> tuple[Path, str]:
    path = tmp_path / "images.gz"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def test_an_array_is_read_back(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    path, digest = written(tmp_path, idx(array))
    read = read_idx(path, dimensions=3, sha256=digest, hint="")
    assert np.array_equal(read, array)


def test_every_damage_is_named_with_the_file_and_the_cure(tmp_path: Path) -> None:
    good = idx(np.zeros((2, 3, 4), np.uint8))
    damaged = {
        "truncated": good[:-9],
        "no gzip": b"plain text",
        "IDX magic": idx(np.zeros((2, 3, 4), np.uint8), magic=0x0D00),
        "expected 40 bytes, found 39": gzip.compress(gzip.decompress(good)[:-1]),
    }
    for reason, data in damaged.items():
        path, digest = written(tmp_path, data)
        with pytest.raises(DataError, match=reason) as raised:
            read_idx(path, dimensions=3, sha256=digest, hint="fetch it again")
        assert str(path) in raised.value.message
        assert raised.value.hint == "fetch it again"
    path, _ = written(tmp_path, good)
    with pytest.raises(DataError, match="expected the sha256"):
        read_idx(path, dimensions=3, sha256="0" * 64, hint="")
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "nowhere.gz", dimensions=3, sha256="", hint="")


def test_a_folder_without_fashion_mnist_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist") as raised:
        load_task(TaskConfig(name="fashion-mnist", data=str(tmp_path)))
    assert "train-images-idx3-ubyte.gz" in raised.value.message


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.gz"
    header = bytes((0, 0, 8, 1)) + struct.pack(">I", 4)
    with gzip.open(file, "wb", compresslevel=1) as bomb:
        bomb.write(header)
        for _ in range(64):
            bomb.write(bytes(1 << 23))  # half a gigabyte
    tracemalloc.start()
    with pytest.raises(DataError, match="expected 12 bytes, found 13"):
        read_idx(file, dimensions=1, sha256="", hint="")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


def test_a_header_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.gz"
    file.write_bytes(gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", *[2**31] * 3)))
    with pytest.raises(DataError, match="found 16"):
        read_idx(file, dimensions=3, sha256="", hint="")
