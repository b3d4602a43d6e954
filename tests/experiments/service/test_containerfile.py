"""The example of a container: linted, true to the package, and built where something builds it."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from bitalloc.command import COMMANDS
from experiments.service.serve import ServeOptions

_ROOT = Path(__file__).parents[3]
_FILE = _ROOT / "examples" / "service" / "Containerfile"
_BUILDERS = ("podman", "docker")
_TAG = "bitalloc-of-tests"
_ANSWERS_S = 120.0


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("no hadolint")
    done = subprocess.run([hadolint, _FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_starts_what_there_is_with_flags_that_there_are() -> None:
    lines = [line for line in _FILE.read_text().splitlines() if not line.startswith("#")]
    started = next(line for line in lines if line.startswith("ENTRYPOINT"))
    _, _, name, command, *flags = json.loads(started.removeprefix("ENTRYPOINT"))
    assert (name, command) == ("bitalloc", "serve")
    assert command in COMMANDS
    named = {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}
    assert named <= set(ServeOptions.__dataclass_fields__)
    assert not any("ADD http" in line or "curl" in line for line in lines)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_is_built_and_answers() -> None:
    builder = next((name for name in _BUILDERS if _works(name)), None)
    if builder is None:
        pytest.skip(f"nothing here builds containers: looked for {', '.join(_BUILDERS)}")
    base = re.search(r"^FROM (\S+)", _FILE.read_text(), re.MULTILINE)
    assert base is not None
    if _ask(builder, "pull", base[1]).returncode:
        pytest.skip(f"{builder} cannot have {base[1]}")
    built = _ask(builder, "build", "-f", str(_FILE), "-t", _TAG, str(_ROOT))
    assert built.returncode == 0, built.stdout + built.stderr
    started = _ask(builder, "run", "--rm", "-d", "-p", "127.0.0.1::8437", _TAG)
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        address = _ask(builder, "port", container, "8437").stdout.splitlines()[0]
        _wait_for_health(f"http://{address}")
        made = _ask(builder, "exec", container, "bitalloc", "token", "create", "ada")
        headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert httpx.get(f"http://{address}/v1/jobs", headers=headers).json()["jobs"] == []
    finally:
        _ask(builder, "stop", container)


def _works(builder: str) -> bool:
    try:
        return _ask(builder, "info").returncode == 0
    except FileNotFoundError:
        return False


def _ask(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False)


def _wait_for_health(url: str) -> None:
    until = time.monotonic() + _ANSWERS_S
    while True:
        try:
            assert httpx.get(f"{url}/healthz", timeout=5).status_code == 200
            return
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.5)
