"""Data of a file: names that people use, and files that are damaged or were made to do harm."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from env.tasks import TaskConfig, load_task
from env.tasks.own_data.data_file import read_data_file
from quant.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (40, 1, 8, 8)).astype("uint8")
LABELS = np.arange(40) % 4
NAMES = {
    "ours": ("train_inputs", "train_labels", "test_inputs", "test_labels"),
    "keras": ("x_train", "y_train", "x_test", "y_test"),
    "medical": ("train_images", "train_labels", "test_images", "test_labels"),
    "capitals": ("X.train", "Y.train", "X.test", "Y.test"),
}


def arrays(names: tuple[str, ...]) -> dict[str, np.ndarray]:
    return dict(zip(names, (IMAGES, LABELS, IMAGES[:8], LABELS[:8]), strict=True))


@pytest.mark.parametrize("names", NAMES.values(), ids=list(NAMES))
@pytest.mark.parametrize("kind", ["npz", "compressed", "safetensors"])
def test_files_as_people_write_them(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / ("d.safetensors" if kind == "safetensors" else "d.npz")
    if kind == "safetensors":
        save_file({k: torch.from_numpy(v) for k, v in arrays(names).items()}, file)
    else:
        save: Any = np.savez if kind == "npz" else np.savez_compressed
        save(file, **arrays(names))
    read = read_data_file(file)
    assert list(read) == ["train", "test"]
    for found, wanted in zip(read["train"], (IMAGES, LABELS), strict=True):
        assert np.array_equal(np.asarray(found), wanted)


def test_a_task_of_a_file_is_the_task_of_a_function(tmp_path: Path) -> None:
    given: Any = arrays(NAMES["ours"])
    np.savez(tmp_path / "d.npz", **given, val_inputs=IMAGES, val_labels=LABELS)
    task = load_task(TaskConfig(name="own", data=str(tmp_path / "d.npz"), network="digits"))
    assert [len(split) for split in (task.train, task.search, task.test)] == [40, 40, 8]
    assert task.search_origin == "given with your data"
    assert task.classes == 4
    assert float(task.train.images.max()) <= 1, "pixels are brought to 0..1"


def refused(file: Path, says: str) -> None:
    with pytest.raises(DataError) as caught:
        read_data_file(file)
    assert says in str(caught.value), caught.value
    assert file.name in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def write_npz(file: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return file


def header(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    made = io.BytesIO()
    settings: dict[str, Any] = {"shape": shape, "fortran_order": False, "descr": kind}
    np.lib.format.write_array_header_1_0(made, settings)
    return made.getvalue()


def test_objects_of_python_are_refused_and_not_made(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "harmed",))

    np.savez(tmp_path / "d.npz", train_inputs=np.array([Harm()], object))
    refused(tmp_path / "d.npz", "found objects of Python")
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 62, 1 << 62), (-1,), (4, 5)])
def test_an_array_that_claims_to_be_larger_than_it_is(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    file = write_npz(tmp_path / "d.npz", {"train_inputs.npy": header(shape) + b"\0" * 8})
    refused(file, "d.npz")


def test_an_archive_that_unpacks_to_more_than_it_may(tmp_path: Path) -> None:
    zeros = np.zeros(1 << 20, "uint8").tobytes()
    write_npz(tmp_path / "d.npz", {"train_inputs.npy": header((1 << 24,)) + zeros * 16})
    data = bytearray((tmp_path / "d.npz").read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24  # the size that the archive's list says
    data[place : place + 4] = b"\xfe\xff\xff\xff"
    for _ in range(3):
        end = data.rindex(b"PK\x05\x06")
        data[end:end] = data[data.rindex(b"PK\x01\x02") : end]
    end = data.rindex(b"PK\x05\x06")
    entries, start = 4, data.index(b"PK\x01\x02")
    data[end + 8 : end + 12] = entries.to_bytes(2, "little") * 2
    data[end + 12 : end + 16] = (end - start).to_bytes(4, "little")
    (tmp_path / "d.npz").write_bytes(data)
    refused(tmp_path / "d.npz", "unpacks to 17,179,869,176 bytes, and at most 8,589,934,592")


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\xff" * 200, b"\x80\x05cos\nsystem\n."])
def test_what_is_no_such_file(content: bytes, ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"d.{ending}"
    refused(file, "No such file")
    file.write_bytes(content)
    refused(file, "is damaged, or no file of numpy or safetensors")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("a", "b"), "expected arrays of inputs and labels of each part, found a, b"),
        (("x_train", "x_test", "y_test"), "found x_train, x_test, y_test"),
        (("x_train", "train_images", "y_train"), "'x_train' and 'train_images' mean the same"),
    ],
)
def test_arrays_of_other_names(names: tuple[str, ...], says: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **dict.fromkeys(names, LABELS))  # type: ignore[arg-type]
    refused(tmp_path / "d.npz", says)
