"""Why programs of torch.export are not taken: loading one executes what its file says."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from env.errors import TaskError
from env.tasks import TaskConfig

LOADER = """
import json, sys, warnings
import torch
warnings.simplefilter("ignore")
torch.export.load(sys.argv[1])  # what is imported once is imported now
seen = {"exec": 0, "compile": []}

def hook(event, arguments):
    if not seen["on"]:
        return
    if event == "compile":
        seen["compile"].append(str(arguments[0]))
    elif event == "exec":
        seen["exec"] += 1

seen["on"] = False
sys.addaudithook(hook)
seen["on"] = True
torch.export.load(sys.argv[2])
seen["on"] = False
print(json.dumps(seen))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "network.pt2"
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    sizes = ({0: torch.export.Dim("n")},)
    made = torch.export.export(network, (torch.zeros(2, 4),), dynamic_shapes=sizes)
    torch.export.save(made, file)
    return file


def load(plain: Path, file: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOADER, plain, file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_texts_of_the_file_are_compiled_and_executed(program: Path, tmp_path: Path) -> None:
    """Should this fail, torch has changed, and such files may be looked at anew."""
    seen = load(program, program)
    assert seen["exec"]
    assert any("Symbol" in text for text in seen["compile"]), seen

    harmed, touched = tmp_path / "harmed.pt2", tmp_path / "touched"
    harm = f"__import__('pathlib').Path({str(touched)!r}).touch()"
    with zipfile.ZipFile(program) as read, zipfile.ZipFile(harmed, "w") as write:
        for part in read.infolist():
            data = read.read(part)
            if part.filename.endswith("models/model.json"):
                document = json.loads(data)
                size = next(s for s in _sizes(document) if "Symbol" in s["expr_str"])
                size["expr_str"] = f"({harm}, {size['expr_str']})[1]"
                data = json.dumps(document).encode()
            write.writestr(part, data)
    subprocess.run(
        [sys.executable, "-c", LOADER, program, harmed], capture_output=True, check=False
    )
    assert touched.exists(), "a text in the file was not executed"


def test_they_are_refused_with_what_helps() -> None:
    with pytest.raises(TaskError, match=r"FILE\.onnx, found 'network\.pt2'") as caught:
        TaskConfig(name="own", model="network.pt2", data="d.npz")
    assert "executes what its file says while it is loaded" in caught.value.hint


def _sizes(document: object) -> list[dict[str, str]]:
    if isinstance(document, list):
        return [size for part in document for size in _sizes(part)]
    if not isinstance(document, dict):
        return []
    own = [document] if "expr_str" in document else []
    return own + [size for part in document.values() for size in _sizes(part)]
