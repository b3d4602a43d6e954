"""The wheel: it installs, and runs from an empty folder, the console script too."""

import zipfile
from pathlib import Path

import pytest

from tests.facade.installed import Installed

PROGRAM = """
import torch
from torch import nn

import bitalloc

torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)).eval()
images, labels = torch.randn(600, 1, 8, 8), torch.randint(0, 10, (600,))
data = {"train": (images[:400], labels[:400]), "test": (images[400:], labels[400:])}
result = bitalloc.search(network, data, device="simulated", method="uniform", evaluations=3)
print(bitalloc.__file__)
print(result.allocation.to_dict())
"""


@pytest.mark.slow
def test_it_runs_from_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    done = installed.start(tmp_path, "python", "-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert str(installed.venv) in done.stdout
    assert "commands:" in installed.start(tmp_path, "bitalloc").stdout
    (run,) = (tmp_path / "runs").glob("own__*")
    reported = installed.start(tmp_path, "bitalloc", "report", str(run))
    assert reported.returncode == 0, reported.stderr


@pytest.mark.slow
def test_it_brings_what_it_reads_and_nothing_of_the_tests(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    packages = {"agents", "bitalloc", "env", "experiments", "hardware", "quant"}
    assert {name for name in top if not name.endswith(".dist-info")} == packages
    for name in ("experiments/report/page.html", "experiments/configs/smoke.yaml", "env/py.typed"):
        assert name in names
