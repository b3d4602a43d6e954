"""Environment facts: what a run ran on, written before its first step."""

import platform
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

_GIT_TIMEOUT_S = 10.0


def environment_facts(device_facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of `environment.json`.

    Args:
        device_facts: What the device says of itself: CPU, features, TVM and LLVM versions.
    """
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "git": git_state(),
        "device": dict(device_facts),
        "packages": _packages(),
    }


def git_state() -> dict[str, Any]:
    """Return `commit` and `dirty` of the checkout; both None where the code is not in one."""
    root = Path(__file__).resolve().parents[2]
    commit = _git(root, "rev-parse", "HEAD")
    status = _git(root, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def commit_name() -> str:
    """Return the checkout's commit, and whether it was changed, in words."""
    git = git_state()
    return f"{git['commit']}{' with changes' if git['dirty'] else ''}"


def _git(root: Path, *arguments: str) -> str | None:
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _packages() -> list[str]:
    """List `name==version` of everything installed, as `pip freeze` would."""
    found = {
        f"{name}=={distribution.version}"
        for distribution in distributions(path=sys.path)
        if (name := distribution.metadata["Name"])
    }
    return sorted(found, key=str.lower)
