"""The wheel, built once and installed into an environment of its own."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.facade.installed import Installed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return what is committed, as a wheel and installed."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("wheel")
    source, venv = folder / "source", folder / "venv"
    pip = [sys.executable, "-m", "pip", "-q"]
    subprocess.run(["git", "clone", "-q", str(ROOT), str(source)], check=True)
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run([*pip, *build], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    install = ["--python", str(venv), "install", "--no-deps", str(wheel)]
    subprocess.run([*pip, *install], check=True)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    return Installed(wheel=wheel, venv=venv, cache=folder / "cache")
