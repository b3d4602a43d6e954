"""A real server as a process of its own, with a token in hand; and small jobs for it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from experiments.service.client.client import Client
from experiments.service.folder import ServiceFolder
from experiments.service.store.database import Database
from experiments.service.store.tokens import Role, Tokens

_LIMIT_S = 900.0
"""Of anything: a machine may be busy."""

SMALL: Mapping[str, Any] = {
    "method": "random",
    "evaluations": 4,
    "target.runner": "simulated",
    "protocol": {"repeats": 5, "warmups": 0},
    "final": {"steps": 1},
    "env": {
        "bit_choices": [4, 8],
        "calibration_images": 64,
        "finetune": {"steps": 1, "compensation_images": 32, "held_back_images": 50},
    },
}
"""A search of seconds, most of which are imports."""


@dataclass(kw_only=True)
class Served:
    """A server that can be killed and started again."""

    folder: Path
    arguments: tuple[str, ...] = ()
    process: "subprocess.Popen[str] | None" = None
    url: str = ""
    token: str = ""

    def start(self) -> None:
        """Start it, on the port that it had before."""
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "bitalloc.command", "serve", "--folder", str(self.folder)]
        self.process = subprocess.Popen(
            [*command, "--port", port, *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "XDG_CONFIG_HOME": str(self.folder.with_suffix(".config"))},
        )
        assert self.process.stdout is not None
        lines = []
        while line := self.process.stdout.readline():
            lines.append(line)
            if found := re.search(r"at (http\S+)", line):
                self.url = found[1]
                break
        assert self.url, lines
        if not self.token:
            self.token = self.new_token("operator-of-tests", Role.OPERATOR)
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        """Return once it answers."""
        until = time.monotonic() + _LIMIT_S
        while True:
            try:
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                assert time.monotonic() < until
                time.sleep(0.05)

    def new_token(self, name: str, role: Role = Role.USER) -> str:
        """Make a token on the server's machine, as `bitalloc token create` does."""
        with Database(ServiceFolder(self.folder).database) as database:
            return Tokens(database).create(name, role)

    def client(self, token: str = "") -> Client:
        """Return a client, the operator's by default."""
        return Client(self.url, token or self.token)

    def kill(self) -> None:
        """Kill the server, and nothing that it started."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """Ask it to end; return what it printed."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        printed, _ = self.process.communicate(timeout=_LIMIT_S)
        return printed

    def processes(self) -> list[psutil.Process]:
        """Return every process that works in a folder of a job."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                inside = str(process.cwd()).startswith(str(self.folder / "jobs"))
            except psutil.Error:
                continue
            if inside or any(str(self.folder / "jobs") in word for word in words):
                found.append(process)
        return found


@contextmanager
def served(folder: Path, *arguments: str) -> Iterator[Served]:
    """Lend a server that has started; whatever it started ends with it."""
    server = Served(folder=folder, arguments=arguments)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        for process in server.processes():
            process.kill()


def wait_for(client: Client, id: str, *states: str) -> dict[str, Any]:
    """Return a job once it is in one of some states."""
    until = time.monotonic() + _LIMIT_S
    while True:
        job = client.job(id)
        if job["state"] in states:
            return job
        assert time.monotonic() < until, job
        time.sleep(0.1)
