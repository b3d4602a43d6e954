"""The container of the examples: linted, its steps taken by hand, and built where it can be."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from bitalloc.command import COMMANDS
from experiments.service.client.client import Client
from experiments.service.serve import ServeOptions
from tests.experiments.service.served import SMALL

_ROOT = Path(__file__).parents[3]
_FILE = _ROOT / "examples" / "service" / "Containerfile"
_BUILDERS = ("podman", "docker")
_NO_INDEX = re.compile("No matching distribution|Could not find a version|NewConnectionError")
_TAG = "bitalloc-of-tests"
_ANSWERS_S = 120.0


def test_the_extra_alone_is_enough_for_the_export_that_submit_asks_for() -> None:
    extras = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    assert "bitalloc[onnx]" in extras["optional-dependencies"]["service"]
    assert '".[service]"' in _FILE.read_text()


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("no hadolint")
    done = subprocess.run([hadolint, _FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_starts_what_there_is_with_flags_that_there_are() -> None:
    lines = _instructions()
    _, _, name, command, *flags = json.loads(_after("ENTRYPOINT"))
    assert (name, command) == ("bitalloc", "serve")
    assert command in COMMANDS
    named = {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}
    assert named <= set(ServeOptions.__dataclass_fields__)
    assert not any("ADD http" in line or "curl" in line for line in lines)


@pytest.mark.skipif(not (_ROOT / ".git").exists(), reason="not a git checkout")
def test_nothing_that_is_made_in_a_checkout_goes_into_it() -> None:
    ignored = {
        line.removeprefix("**/")
        for line in (_ROOT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    }
    made = (_ROOT / ".gitignore").read_text().splitlines()
    names = {line.strip("/") for line in made if not line.startswith("#")}
    caches = {name for name in names if re.fullmatch(r"\..*_cache", name)}
    assert names - caches <= ignored
    assert {".git", ".*_cache"} <= ignored


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_its_steps_end_in_a_server_that_does_a_job(tmp_path: Path) -> None:
    """What it installs and how it starts it, in a folder for its root and a fresh environment."""
    source, python = tmp_path / "opt" / "bitalloc", tmp_path / "venv" / "bin" / "python"
    subprocess.run(["git", "clone", "-q", str(_ROOT), str(source)], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    environment = _environment(tmp_path)
    _, *install = shlex.split(_after("RUN python -m pip").partition("&&")[0])
    done = subprocess.run(
        [python, "-m", "pip", "install", *(word for word in install if word != "--no-cache-dir")],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and _NO_INDEX.search(done.stderr):
        pytest.skip("no index has the packages")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "does not provide the extra" not in done.stdout + done.stderr

    _, _, name, *serve = json.loads(_after("ENTRYPOINT"))
    program = python.with_name(name)
    with (tmp_path / "printed").open("wb") as printed:
        server = subprocess.Popen(
            [program, *serve, "--port", "0"],
            cwd=environment["HOME"],
            env=environment,
            stdout=printed,
            stderr=printed,
        )
    try:
        port = _port(tmp_path / "printed")
        _wait_for_health(f"http://127.0.0.1:{port}")
        health = [word.replace("8437", port) for word in json.loads(_after("CMD"))]
        subprocess.run([python, *health[1:]], check=True)
        token = subprocess.run(
            [program, "token", "create", "ada"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        with Client(f"http://127.0.0.1:{port}", token) as client:
            client.submit("search", SMALL, id="first")
            assert client.wait("first")["state"] == "succeeded", client.logs("first")
        assert (tmp_path / "data" / "bitalloc" / "service" / "jobs" / "first").is_dir()
    finally:
        server.terminate()
        server.wait(120)
    assert "stopping" in (tmp_path / "printed").read_text()


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


def _instructions() -> list[str]:
    """Return the instructions, each on one line."""
    text = "\n".join(line for line in _FILE.read_text().splitlines() if not line.startswith("#"))
    return re.sub(r"\\\n\s*", " ", text).splitlines()


def _after(beginning: str) -> str:
    """Return what follows the first such words."""
    found = next(line for line in _instructions() if beginning in line)
    return found.partition(beginning)[2].strip()


def _environment(root: Path) -> Mapping[str, str]:
    """Return the variables of a container whose root is a folder."""
    named = dict(word.split("=", 1) for word in _after("ENV").split())
    places = {key: f"{root}{value}" for key, value in named.items() if value.startswith("/")}
    home = root / "home" / "bitalloc"
    home.mkdir(parents=True)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    kept.pop("PYTHONPATH", None)
    path = f"{root / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**kept, **named, **places, "HOME": str(home), "PATH": path}


def _port(printed: Path) -> str:
    until = time.monotonic() + _ANSWERS_S
    while (found := re.search(r"at http://0\.0\.0\.0:(\d+)", printed.read_text())) is None:
        assert time.monotonic() < until, printed.read_text()
        time.sleep(0.2)
    return found[1]


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
