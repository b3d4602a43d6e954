"""The wheel: it installs, and runs from an empty folder, the console script too."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]

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


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the wheel was installed into, without what it needs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    source = folder / "source"
    subprocess.run(["git", "clone", "-q", str(_ROOT), str(source)], check=True)
    subprocess.run([*build, "-w", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target"]
    subprocess.run([*install, str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def started(site: Path, empty: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=empty,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
@pytest.mark.skipif(not (_ROOT / ".git").exists(), reason="not a git checkout")
def test_it_runs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = started(installed, tmp_path, sys.executable, "-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert str(installed) in done.stdout
    script = installed / "bin" / "bitalloc"
    assert "commands:" in started(installed, tmp_path, sys.executable, str(script)).stdout
    (run,) = (tmp_path / "runs").glob("own__*")
    reported = started(installed, tmp_path, sys.executable, str(script), "report", str(run))
    assert reported.returncode == 0, reported.stderr


@pytest.mark.slow
@pytest.mark.skipif(not (_ROOT / ".git").exists(), reason="not a git checkout")
def test_it_brings_what_it_reads_and_nothing_of_the_tests(installed: Path) -> None:
    (wheel,) = installed.parent.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    packages = {"agents", "bitalloc", "env", "experiments", "hardware", "quant"}
    assert {name for name in top if not name.endswith(".dist-info")} == packages
    for name in ("experiments/report/page.html", "experiments/configs/smoke.yaml", "env/py.typed"):
        assert name in names
