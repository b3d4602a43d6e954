"""A cluster of two machines that are really taken away, and a run that ends as if they were not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiments.cluster.ray_extra import import_ray, on_loopback
from experiments.terminal.exit_codes import DONE

_HERE = "127.0.0.1"
_MACHINES = 2
_EVALUATIONS = 10
_SMALL = (
    *("--method", "random", "--evaluations", str(_EVALUATIONS), "--quiet"),
    *("--target.runner", "simulated", "--task.epochs", "1", "--train.proposals", "4"),
    *("--env.bit-choices", "2", "4", "8", "--env.finetune.steps", "20"),
    *("--env.finetune.held-back-images", "50", "--env.finetune.compensation-images", "0"),
    *("--env.finetune.no-range-test", "--budget.latency-ratio", "0.9"),
)
_TIMES = ("train_s", "build_s", "measure_s")


class Machines:
    """A head that retrains nothing, and machines of one processor each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "node_ip_address": _HERE}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [
            self._cluster.add_node(num_cpus=1, node_ip_address=_HERE) for _ in range(_MACHINES)
        ]

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def take_away(self, worker: psutil.Process) -> None:
        """Kill all processes of the machine on which one retrains."""
        (node,) = (node for node in self.nodes if _raylet(node) == worker.ppid())
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        self._cluster.shutdown()


def _raylet(node: Any) -> int:
    """Return the number of the process that starts a machine's workers."""
    (started,) = node.all_processes["raylet"]
    return int(started.process.pid)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return variables under which every process of this file comes to the same."""
    cache = str(tmp_path_factory.mktemp("cache"))
    return {
        **os.environ,
        **{"XDG_CACHE_HOME": cache, "OMP_NUM_THREADS": "1"},
        **{"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"},
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # whoever joins does it on this machine
    }


@pytest.fixture
def machines(environment: Mapping[str, str]) -> Iterator[Machines]:
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("RAY_ADDRESS", raising=False)
        for name, value in environment.items():
            patched.setenv(name, value)
        with on_loopback(import_ray()):
            found = Machines()
            try:
                yield found
            finally:
                found.close()


def start(environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.run", *arguments],
        env=dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=900)
    assert process.returncode == DONE, errors


@pytest.fixture(scope="module")
def alone(environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the run that one process did."""
    output = tmp_path_factory.mktemp("alone")
    finish(start(environment, *_SMALL, "--output", str(output)))
    return output / "latest"


def lines(folder: Path) -> list[dict[str, Any]]:
    file = folder / "evaluations.jsonl"
    whole = file.read_text().splitlines(keepends=True) if file.exists() else []
    return [json.loads(line) for line in whole if line.endswith("\n")]


def without_times(folder: Path) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in line.items() if key not in _TIMES} for line in lines(folder)
    ]


def wait_for(count: int, folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 600
    while len(lines(folder)) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def workers() -> list[psutil.Process]:
    """Return the processes that retrain, on whichever machine."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if "TrainingActor" in process.name()
    ]


def check(folder: Path, alone: Path, killed_at: int = -1) -> None:
    """Expect what one process found, and that nothing was lost and nothing paid for twice.

    Of the evaluation that a run was killed at its log may not tell: it is written down before.
    """
    assert without_times(folder) == without_times(alone)
    assert len(lines(folder)) == _EVALUATIONS
    log = (folder / "run.log").read_text()
    for index in range(_EVALUATIONS):
        said = log.count(f"evaluation {index} by ")
        assert said == 1 or (said == 0 and index == killed_at)
    names = ("best_allocation.json", "pareto.csv")
    assert all((folder / name).read_text() == (alone / name).read_text() for name in names)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_worker_and_a_lost_machine_change_nothing(
    machines: Machines, environment: Mapping[str, str], alone: Path, tmp_path: Path
) -> None:
    """Two retrain, one of them is killed, and then the other's machine is gone for good."""
    cluster = ("--train.ray", machines.address, "--train.workers", "2")
    process = start(environment, *_SMALL, *cluster, "--output", str(tmp_path))
    folder = tmp_path / "latest"
    wait_for(2, folder, process)
    killed, other = workers()
    os.kill(killed.pid, signal.SIGKILL)
    wait_for(5, folder, process)
    machines.take_away(other)
    finish(process)
    check(folder, alone)
    assert (folder / "run.log").read_text().count("a worker of the Ray cluster was lost") >= 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_run_goes_on_with_the_cluster(
    machines: Machines, environment: Mapping[str, str], alone: Path, tmp_path: Path
) -> None:
    cluster = ("--train.ray", machines.address, "--train.workers", "2")
    process = start(environment, *_SMALL, *cluster, "--output", str(tmp_path))
    folder = tmp_path / "latest"
    wait_for(6, folder, process)
    process.kill()
    process.communicate()
    begun = len(lines(folder))
    assert begun < _EVALUATIONS
    finish(start(environment, "--resume", str(folder.resolve())))
    check(folder, alone, killed_at=begun - 1)
