"""TensorBoard beside the server: a process on this machine's loopback, shown under our address."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.service.work.keeper import end_with_parent

PREFIX = "/tensorboard"
_HOST = "127.0.0.1"
_RELOAD_S = 15
_END_S = 5.0


@contextmanager
def tensorboard_beside(jobs: Path) -> Iterator[str]:
    """Start TensorBoard over the runs of all jobs, and lend its address; it ends with the block.

    Args:
        jobs: Folder of the jobs' folders.
    """
    port = _free_port()
    options = ["--host", _HOST, "--port", str(port), "--path_prefix", PREFIX]
    process = subprocess.Popen(
        [
            *(sys.executable, "-P", "-m", "tensorboard.main", "--logdir", str(jobs), *options),
            *("--reload_interval", str(_RELOAD_S), "--window_title", "BitAlloc"),
        ],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    try:
        yield f"http://{_HOST}:{port}"
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind((_HOST, 0))
        port: int = tried.getsockname()[1]
        return port
