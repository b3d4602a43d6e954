"""What is divided among workers is what one process comes to, to the bit, however it is divided."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from env.evaluating.accounting import Ledger
from env.evaluating.env_config import EnvConfig
from env.evaluating.sensitivity_config import SensitivityConfig
from env.evaluating.training_pool import WorkersConfig
from env.sensitivity.stored_sensitivities import StoredSensitivities
from env.tasks import Task
from env.tasks.data_sets.digits import digits_task
from env.tasks.networks.digits_net import DigitsNet
from env.tasks.task_config import TaskConfig
from experiments.cluster import ray_pool
from experiments.cluster.ray_pool import RayPool
from experiments.cluster.training_actor import TrainingJob
from experiments.settings.run_config import RunConfig
from experiments.stages import retraining
from experiments.stages.network_setup import set_up_network
from experiments.stages.retraining import (
    retrain_and_score,
    retrain_float_and_score,
    retrain_together,
)
from experiments.terminal.progress import LiveProgress
from hardware.store import Store
from quant.allocation import Allocation
from quant.network import QuantizedNetwork, prepare
from quant.retraining.finetune_config import FinetuneConfig
from quant.sensitivities import SensitivityTable
from tests.experiments.cluster.in_process import InProcess

_CONFIG = SensitivityConfig(images=40, batch_size=16, draws=2)
"""Three batches, of which the last is short."""


@pytest.fixture
def task() -> Task:
    return digits_task()


@pytest.fixture
def network(task: Task) -> Iterator[QuantizedNetwork]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = prepare(DigitsNet((4, 6, 6, 8)).eval(), task.example)
    found.calibrate(task.train.images[:32])
    yield found
    torch.set_num_threads(before)


@pytest.fixture
def job(task: Task, network: QuantizedNetwork) -> TrainingJob:
    return TrainingJob.of(
        network,
        task.train,
        task.search,
        EnvConfig(),
        objective=task.objective,
        augment=None,
        seed=0,
    )


def test_a_worker_takes_a_network_of_its_own_and_the_threads(job: TrainingJob) -> None:
    torch.set_num_threads(2)
    mine, other = job.take_network(), job.take_network()
    assert torch.get_num_threads() == job.threads == 1
    for value in mine.parameters():
        value.data.zero_()
    for name, value in other.state_dict().items():
        assert torch.equal(value, job.network.state_dict()[name])
    assert any(value.any() for value in other.parameters())


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kind", ["measured", "hessian"])
def test_sensitivities_are_those_of_one_process(
    kind: str,
    workers: int,
    task: Task,
    network: QuantizedNetwork,
    job: TrainingJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_pool, "Crew", InProcess)
    pool = RayPool(WorkersConfig(ray="auto", workers=workers), job)

    def estimate(name: str, others: RayPool | None) -> SensitivityTable:
        with Store(tmp_path / f"{name}.sqlite") as store:
            source = StoredSensitivities(
                network.clone(), task.train, _CONFIG, store, Ledger(), pool=others
            )
            return source.table(kind)  # type: ignore[arg-type]

    found = estimate("together", pool)
    assert replace(found, seconds=0.0) == replace(estimate("alone", None), seconds=0.0)
    asked = pool._crew.asked  # type: ignore[attr-defined]
    assert len(asked) > 2 * workers, "no worker waits long for another's last piece"
    assert set(asked) == {"losses" if kind == "measured" else "curvatures"}


def test_answers_are_those_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(retraining, "Crew", InProcess)
    final = FinetuneConfig(steps=3, compensation_images=32, held_back_images=50, range_test=False)
    config = RunConfig(task=TaskConfig(epochs=1), final=final, seed=3)
    setup = set_up_network(config, LiveProgress(quiet=True))
    test, layers = setup.task.test, setup.network.layers
    allocations = {f"{bits}": Allocation.uniform(layers, bits) for bits in (8, 3)}
    seen: list[tuple[int, int]] = []
    found, in_float = retrain_together(
        setup,
        allocations,
        test,
        WorkersConfig(ray="auto", workers=2),
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(1, 3), (2, 3)]
    assert torch.equal(in_float.loss, retrain_float_and_score(setup, test).loss)
    for name, allocation in allocations.items():
        alone = retrain_and_score(setup, allocation, test)
        assert found[name].retraining == alone.retraining
        assert torch.equal(found[name].scores.loss, alone.scores.loss)
