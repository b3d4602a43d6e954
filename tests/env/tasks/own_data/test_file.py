"""Own data from a file are those that a function would return, and nothing else is read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from env.tasks.load_task import load_task
from env.tasks.own_data.file import check_data_file
from env.tasks.task_config import TaskConfig
from quant.errors import DataError


def _arrays(*parts: str) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for part in parts:
        arrays[f"{part}_inputs"] = rng.standard_normal((40, 1, 8, 8)).astype(np.float32)
        arrays[f"{part}_labels"] = np.arange(40) % 10
    return arrays


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_file_is_a_task(tmp_path: Path, suffix: str) -> None:
    arrays, file = _arrays("train", "search", "test"), tmp_path / f"mine{suffix}"
    if suffix == ".npz":
        np.savez_compressed(file, **arrays)
    else:
        save_file(arrays, file)
    task = load_task(TaskConfig(name="own", data=str(file), network="digits-even"))
    assert torch.equal(task.test.images, torch.from_numpy(arrays["test_inputs"]))
    assert torch.equal(task.search.labels, torch.from_numpy(arrays["search_labels"]))
    assert task.classes == 10


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    file = tmp_path / "half.npz"
    np.savez(file, **_arrays("train"))
    with pytest.raises(DataError, match=r"half.npz: expected arrays .* found train_inputs"):
        check_data_file(file)
    with pytest.raises(DataError, match=r"none.npz: .* No such file"):
        load_task(TaskConfig(name="own", data=str(tmp_path / "none.npz"), network="digits-even"))


def test_arrays_that_would_fill_the_memory_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "zeros.npz"
    arrays = _arrays("train", "test")
    arrays["train_inputs"] = np.zeros((40, 1, 512, 512), np.float32)
    np.savez_compressed(file, **arrays)
    assert file.stat().st_size < 200_000
    with pytest.raises(DataError, match="at most 1,000,000 bytes, found 41,9"):
        check_data_file(file, most_bytes=1_000_000)
