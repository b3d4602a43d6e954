"""A run whose candidates are retrained by a Ray cluster on this machine: two nodes, and a head
that has no CPU.

Nodes and processes are really started, and really lost in the middle of a retraining.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiments import run as run_module
from experiments.errors import ConfigError
from experiments.record import files
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from tests.experiments.cluster.watched_run import SMALL, evaluations, wait_for

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One float network for all, and threads as they are in the workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("RAY_worker_niceness", "0")  # a busy machine would leave workers nothing
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, cache: None) -> list[dict[str, Any]]:
    """What one process evaluates."""
    output = tmp_path_factory.mktemp("alone")
    assert run_module.main([*SMALL, "--output", str(output)]) == DONE
    return evaluations(output / "latest")


@pytest.fixture(scope="module")
def cluster(cache: None) -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    utils = pytest.importorskip("ray.cluster_utils")
    head = {"num_cpus": 0, "node_ip_address": "127.0.0.1", "include_dashboard": False}
    made = utils.Cluster(initialize_head=True, head_node_args=head)
    made.nodes_that_train = [made.add_node(num_cpus=1) for _ in range(2)]
    yield made
    ray.shutdown()
    made.shutdown()


def flags(cluster: Any, output: Path, workers: int) -> list[str]:
    place = ["--train.ray", str(cluster.address), "--train.workers", str(workers)]
    return [*SMALL, *place, "--output", str(output)]


def actors() -> list[psutil.Process]:
    """Return the processes that retrain."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith("ray::Training") or "ray::TrainingActor" in " ".join(
                process.cmdline()
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_two_workers_one_of_which_is_killed_evaluate_what_one_process_does(
    cluster: Any, tmp_path: Path, alone: list[dict[str, Any]]
) -> None:
    killed: list[int] = []

    def kill() -> None:
        wait_for(lambda: len(evaluations(tmp_path / "latest")) >= 2, "two evaluations")
        victim = wait_for(actors, "a worker")[0]
        os.kill(victim.pid, signal.SIGKILL)
        killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    assert run_module.main(flags(cluster, tmp_path, 2)) == DONE
    killer.join()
    assert killed
    assert evaluations(tmp_path / "latest") == alone


def test_a_node_that_is_removed_takes_nothing_with_it(
    cluster: Any, tmp_path: Path, alone: list[dict[str, Any]]
) -> None:
    def remove() -> None:
        wait_for(lambda: len(evaluations(tmp_path / "latest")) >= 2, "two evaluations")
        cluster.remove_node(cluster.nodes_that_train.pop(), allow_graceful=False)
        cluster.nodes_that_train.append(cluster.add_node(num_cpus=1))

    remover = threading.Thread(target=remove)
    remover.start()
    assert run_module.main(flags(cluster, tmp_path, 2)) == DONE
    remover.join()
    assert evaluations(tmp_path / "latest") == alone


def test_a_driver_that_is_killed_goes_on_where_it_was(
    cluster: Any, tmp_path: Path, alone: list[dict[str, Any]]
) -> None:
    command = [sys.executable, "-m", "experiments.run", *flags(cluster, tmp_path, 2)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as driver:
        wait_for(lambda: len(evaluations(tmp_path / "latest")) >= 3, "three evaluations")
        driver.kill()
    before = evaluations(tmp_path / "latest")
    assert 3 <= len(before) < len(alone)
    resume = ["--resume", str(tmp_path / "latest"), "--train.workers", "1"]
    assert run_module.main(resume) == DONE
    assert evaluations(tmp_path / "latest") == alone
    assert (tmp_path / "latest" / files.RESULTS).exists()


def test_a_cluster_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    place = ["--train.ray", "127.0.0.1:1", "--output", str(tmp_path)]
    assert run_module.main([*SMALL, *place]) == USER_MISTAKE
    assert "expected a Ray cluster at 127.0.0.1:1, none answers there" in capsys.readouterr().err


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.cluster.ray_extra import import_ray

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="found none installed") as raised:
        import_ray()
    assert "bitalloc[ray]" in raised.value.hint
