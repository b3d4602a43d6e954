"""The project as users have it: installed from its wheel."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """The project as users have it."""

    wheel: Path
    venv: Path
    """With the wheel in it, and what it needs by a path to this environment's packages."""
    cache: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables of a shell in which the environment is active."""
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        path = f"{self.venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return {**kept, "PATH": path, "XDG_CACHE_HOME": str(self.cache)}

    def start(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder, as from a shell there."""
        return subprocess.run(
            command,
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=3000,
        )
