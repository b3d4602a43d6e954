"""Tensors written are what is read, in a file that others may read like any other."""

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from quant.records.tensor_file import write_tensors


def test_tensors_come_back_and_the_file_has_the_usual_rights(tmp_path: Path) -> None:
    file, usual = tmp_path / "weights.safetensors", tmp_path / "usual"
    usual.touch()
    whole = torch.arange(6.0).reshape(2, 3)
    write_tensors(file, {"turned": whole.T}, metadata={"notes": "{}"}, durable=True)
    assert torch.equal(load_file(file)["turned"], whole.T)
    with safe_open(file, "pt") as opened:
        assert opened.metadata() == {"notes": "{}"}
    assert file.stat().st_mode == usual.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [usual, file]
