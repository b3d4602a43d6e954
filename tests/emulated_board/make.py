"""Make the emulated aarch64 board: `python -m tests.emulated_board.make`.

Nothing is installed and no root is needed: Debian packages and wheels are unpacked into one folder
of the cache, which is used again as long as its pins stay the same.
"""

import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.emulated_board.board import EmulatedBoard
from tests.emulated_board.errors import BoardUnavailable
from tests.emulated_board.making.debian import host_architecture, unpack_packages
from tests.emulated_board.making.pins import (
    BOARD_PACKAGES,
    HOST_PACKAGES,
    board_key,
    wheel_requirements,
)
from tests.emulated_board.making.wheels import unpack_wheels

_FACTS = "board.json"
"""Written last: a folder without it was never finished."""


def board_folder() -> Path:
    """Return `$XDG_CACHE_HOME/bitalloc/emulated-board/KEY`, or the same under `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "bitalloc" / "emulated-board" / board_key()


def make_board(say: Callable[[str], None] = lambda line: None) -> EmulatedBoard:
    """Return the board, made first where the cache has none with these pins.

    Args:
        say: Receives a line for each thing that is done, with its cost.

    Raises:
        BoardUnavailable: It is not in the cache and cannot be made here.
    """
    folder = board_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        # Tests in two processes ask for it at the same time; one makes it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / _FACTS).exists():
            say(f"the board is in {folder} already")
        else:
            _make(folder, say)
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    return EmulatedBoard(folder=folder, python_version=facts["python_version"])


def _make(folder: Path, say: Callable[[str], None]) -> None:
    started = time.perf_counter()
    # On the same disk as the folder, so that the finished one is moved there in one step.
    with tempfile.TemporaryDirectory(prefix="making-", dir=folder.parent) as temporary:
        made, work = Path(temporary) / "made", Path(temporary) / "work"
        made.mkdir()
        facts = _fill(made, work, say)
        facts["bytes"] = sum(p.lstat().st_size for p in made.rglob("*") if not p.is_dir())
        facts["seconds"] = round(time.perf_counter() - started, 1)
        (made / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    say(f"made the board in {facts['seconds']} s, {facts['bytes'] / 1e6:.0f} MB, in {folder}")


def _fill(made: Path, work: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Unpack everything into a folder; return what it holds."""
    root, host, site = made / "root", made / "host", made / "site"
    facts: dict[str, Any] = {}
    for name, packages, architecture, target in (
        ("board_packages", BOARD_PACKAGES, "arm64", root),
        ("host_packages", HOST_PACKAGES, host_architecture(), host),
    ):
        started = time.perf_counter()
        facts[name] = unpack_packages(
            packages, architecture=architecture, folder=target, work=work / name
        )
        say(f"{len(facts[name])} packages for {architecture}: {_since(started)}")
    _keep_one_emulator(host)
    facts["python_version"] = _python_version(root)
    started = time.perf_counter()
    facts["wheels"] = unpack_wheels(
        wheel_requirements(),
        python_version=facts["python_version"],
        folder=site,
        work=work / "wheels",
    )
    say(f"{len(facts['wheels'])} wheels for Python {facts['python_version']}: {_since(started)}")
    return facts


def _python_version(root: Path) -> str:
    """Return the version that this Debian has, such as `3.11`."""
    found = sorted(path.name for path in root.glob("usr/bin/python3.*"))
    if not found:
        raise BoardUnavailable("expected usr/bin/python3.* among the arm64 packages, found none")
    return found[-1].removeprefix("python")


def _keep_one_emulator(host: Path) -> None:
    """Remove the emulators of all other machines, 380 MB."""
    for path in host.glob("usr/bin/qemu-*-static"):
        if path.name != "qemu-aarch64-static":
            path.unlink()


def _since(started: float) -> str:
    return f"{time.perf_counter() - started:.1f} s"


def main() -> int:
    """Make the board and say what it cost; return the exit status."""
    try:
        board = make_board(print)
        print(board.run_python(["-c", "import platform; print(*platform.uname()[::4])"]).strip())
    except BoardUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
