"""A Ray cluster that is started here, whose one worker retrains: it is really killed on the way."""

import importlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest
import torch

from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.training_pool import LookedAt, WorkersConfig
from env.tasks.data_sets.digits import digits_task
from experiments import run as run_module
from experiments.cluster import same_program
from experiments.cluster.crew import Crew
from experiments.cluster.ray_extra import AUTO, import_ray, on_loopback
from experiments.cluster.ray_pool import RayPool
from experiments.cluster.training_actor import TrainingJob
from experiments.errors import ConfigError
from experiments.terminal.exit_codes import USER_MISTAKE
from hardware.errors import HardwareLostError
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from quant.allocation import Allocation
from quant.network import prepare
from quant.retraining.finetune_config import FinetuneConfig
from quant.sensitivities.batches import batches_of
from quant.sensitivities.curvatures import Signs, blocks_of, curvatures
from quant.sensitivities.measured import losses_at

_CONFIG = EnvConfig(
    finetune=FinetuneConfig(
        steps=3,
        batch_size=16,
        compensation_images=0,
        scale_images=0,
        held_back_images=40,
        range_test=False,
    )
)
_LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # a busy machine would leave it nothing
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def started() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def workers() -> list[psutil.Process]:
    return [process for process in started() if "TrainingActor" in process.name()]


def listening() -> list[tuple[str, str]]:
    return [
        (process.name(), place.laddr.ip)
        for process in started()
        for place in process.net_connections("inet")
        if place.status == psutil.CONN_LISTEN
    ]


def without_times(evaluations: list[Evaluation]) -> list[Evaluation]:
    return [replace(each, train_s=0.0, build_s=0.0, measure_s=0.0) for each in evaluations]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_worker_comes_to_what_this_process_does_and_is_started_anew(one_thread: None) -> None:
    task = digits_task()
    torch.manual_seed(0)
    network = prepare(task.make_module().eval(), task.example)
    network.calibrate(task.train.images[:32])
    allocations = [Allocation.uniform(network.layers, bits) for bits in (8, 4, 3)]

    def make(pool: RayPool | None) -> Evaluator:
        device = SimulatedDevice(ProtocolConfig())
        data: Any = (task.train, task.search, _CONFIG)
        return Evaluator(network.clone(), device, *data, seed=0, limit=9, pool=pool, proposals=3)

    alone = make(None).evaluate(allocations)
    job = TrainingJob.of(
        network, task.train, task.search, _CONFIG, objective=task.objective, augment=None, seed=0
    )
    pool = RayPool(WorkersConfig(ray=AUTO, workers=1), job)
    try:
        found = make(pool).evaluate(allocations)
        assert without_times(found) == without_times(alone)
        assert all(evaluation.train_s > 0 for evaluation in found)
        ports = listening()
        assert ports
        assert {ip for _, ip in ports} <= _LOOPBACK, ports
        asked = pool.submit(allocations[1], 0)
        (worker,) = workers()
        os.kill(worker.pid, signal.SIGKILL)
        assert asked.result().scores.score.loss == alone[1].loss
        assert worker.pid not in {process.pid for process in workers()}
        numbers = torch.arange(0, 90, 2)
        looked_at = LookedAt(split="train", numbers=numbers, batch=20)
        some = task.train.pick(numbers)
        batches, loss = batches_of(some.images, some.labels, 20), task.objective.loss
        expected = list(losses_at(network.clone(), allocations, batches, loss))
        assert list(pool.losses(looked_at, allocations)) == expected
        signs, blocks = Signs(draws=2, seed=0), len(blocks_of(network))
        there = pool.curvatures(looked_at, signs, len(batches), blocks)
        here = curvatures(network.clone(), batches, signs, loss=loss)
        for computed, wanted in zip(there, here, strict=True):
            assert computed.loss == wanted.loss
            assert torch.equal(computed.found, wanted.found)
    finally:
        pool.close()


class Hungry:
    """Asks for more memory than there is; `held` may be something that cannot be had there."""

    def __init__(self, held: object) -> None:
        self.held = held

    def eat(self, what: str) -> int:
        return len(bytearray(2**60) if what == "bytes" else torch.empty(2**50))

    def add(self, number: int) -> int:
        return number + 1


class NotThere:
    """Cannot be made from what was sent of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, ("a_module_of_my_own",)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_goes_wrong_on_a_worker_is_one_sentence(
    one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cluster, and three crews after one another; the first has no memory, and goes on."""
    ray, one = import_ray(), WorkersConfig(ray=AUTO, workers=1)
    with on_loopback(ray):
        ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    try:
        crew = Crew(one, Hungry, None, threads=1)
        for what in ("bytes", "tensor"):
            with pytest.raises(HardwareLostError, match="there was too little memory"):
                crew.ask("eat", what).result()
        assert crew.ask("add", 1).result() == 2
        with pytest.raises(ConfigError, match=r"can begin: .*No module named 'a_module_of_my_own'"):
            Crew(one, Hungry, NotThere(), threads=1).ask("add", 1).result()
        monkeypatch.setattr(same_program, "code_digest", lambda: "of another version")
        with pytest.raises(ConfigError, match="found another version of BitAlloc"):
            Crew(one, Hungry, None, threads=1).ask("add", 1).result()
    finally:
        ray.shutdown()


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="found none installed") as raised:
        import_ray()
    assert "bitalloc[ray]" in raised.value.hint


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--train.workers", "2"], "2 of them need a Ray cluster, found none named"),
        (["--train.ray", "auto", "--env.weights", "shared"], "env.weights: reset, found shared"),
        (["--train.ray", "auto", "--env.retrain", "during"], "env.retrain: end, found during"),
        (
            ["--train.ray", "auto", "--env.accuracy-on", "device"],
            "env.accuracy_on: integers, found device",
        ),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(
    capsys: pytest.CaptureFixture[str], flags: list[str], sentence: str
) -> None:
    assert run_module.main(flags) == USER_MISTAKE
    assert sentence in " ".join(capsys.readouterr().err.split())
