"""Memory of a command and all that it starts, while it goes on.

`python -m tests.env.tasks.streaming.memory FOLDER IMAGES` makes a folder of that many images, goes
through a run over it and once through all of its training images, and prints what each took.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tests.env.tasks.streaming.made_up import make_folder

ROOT = Path(__file__).resolve().parents[4]
_LOOK_S = 0.2
_MEGA = 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a command took."""

    code: int
    seconds: float
    peak_mb: float
    """Most memory of all its processes together; pages that several share count once."""
    processes: int
    """Most processes at a time."""
    output: str


def watch(arguments: list[str], environment: dict[str, str]) -> Taken:
    """Start a Python module, and look at its processes until it ends."""
    started, peak, most = time.monotonic(), 0, 0
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as command:
        family = psutil.Process(command.pid)
        while command.poll() is None:
            alive = [family, *_children(family)]
            peak = max(peak, sum(map(_proportional_bytes, alive)))
            most = max(most, len(alive))
            time.sleep(_LOOK_S)
        output = command.stdout.read() if command.stdout else ""
    return Taken(
        code=command.returncode,
        seconds=time.monotonic() - started,
        peak_mb=peak / _MEGA,
        processes=most,
        output=output,
    )


def run_arguments(
    folder: Path, output: Path, *, workers: int, cache_mb: int, epochs: int
) -> list[str]:
    """Return a whole run over an image folder: two evaluations of a small network."""
    return [
        *("experiments.run", "--task.name", "image-folder", "--task.data", str(folder)),
        *("--task.network", "resnet8-stride2", "--task.image-size", "32"),
        *("--task.epochs", str(epochs), "--task.cache-mb", str(cache_mb)),
        *("--task.workers", str(workers), "--task.augment", "crop,flip"),
        *("--target.runner", "simulated", "--method", "random", "--evaluations", "2", "--quiet"),
        *("--env.bit-choices", "2", "8", "--env.finetune.steps", "8", "--output", str(output)),
    ]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


def _proportional_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:  # it ended meanwhile
        return 0


if __name__ == "__main__":
    root = Path(sys.argv[1])
    made = root / "folder"
    if not made.exists():
        make_folder(root, int(sys.argv[2]))
    whole = run_arguments(made, root / "runs", workers=2, cache_mb=100, epochs=0)
    for arguments in (whole, ["tests.env.tasks.streaming.one_pass", str(made)]):
        found = watch(arguments, {"XDG_CACHE_HOME": str(root / "cache")})
        print(json.dumps(asdict(found), indent=1), flush=True)
