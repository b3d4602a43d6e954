"""Search problems with real networks, which are retrained for real, on the simulated device."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.search import SearchProblem
from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from env.evaluating.accounting import Ledger
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.sensitivity_config import SensitivityConfig
from env.sensitivity.stored_sensitivities import StoredSensitivities
from env.tasks import Split, TaskConfig, load_task
from env.tasks.data_sets.fashion_mnist import FASHION_MNIST_FOLDER
from env.testing import formula_sensitivities
from hardware.measure_layers import measure_layer_table
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.store import Store
from quant.allocation import Allocation
from quant.convert import convert
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.float_training import TrainConfig, train_float
from quant.retraining.retrainer import Retrainer
from quant.testing import prepare_calibrated

CHOICES = (2, 4, 6, 8)
SEARCH_IMAGES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Problems:
    """Makes problems that differ in limit and budget alone."""

    network: QuantizedNetwork
    train: Split
    search: Split
    store: Store

    def make(
        self,
        *,
        limit: int,
        share: float | None = 0.35,
        bytes_share: float | None = None,
        rules: Sequence[str] = (),
        past: Sequence[Evaluation] = (),
        state_folder: Path | None = None,
        log_folder: Path | None = None,
    ) -> SearchProblem:
        """Return a problem whose limits lie so far on the way from all-2 to all-8."""
        config = EnvConfig(
            bit_choices=CHOICES,
            finetune=FinetuneConfig(steps=2, compensation_images=16, held_back_images=32),
        )
        device = SimulatedDevice(ProtocolConfig(repeats=5))
        layers = self.network.layers
        space = decision_space(layers, CHOICES, parse_rules(rules))
        graphs = {bits: self._graph(bits) for bits in (2, 8)}
        table = measure_layer_table(device, graphs[8], CHOICES)
        small, large = (table.predict_ms(Allocation.uniform(layers, bits)) for bits in (2, 8))
        light, heavy = (graphs[bits].weight_bytes() for bits in (2, 8))
        budget = Budget(
            latency_ms=None if share is None else small + share * (large - small),
            model_bytes=None if bytes_share is None else int(light + bytes_share * (heavy - light)),
        )
        evaluator = Evaluator(
            self.network.clone(),
            device,
            self.train,
            self.search,
            config,
            seed=0,
            limit=limit,
            past=past,
        )
        ledger = Ledger()
        evaluator.proposer = "reference"
        reference = evaluator.evaluate([Allocation.uniform(layers, 8)])[0]

        def make_env() -> BitAllocationEnv:
            return BitAllocationEnv(
                space=space,
                budget=budget,
                evaluator=evaluator,
                table=table,
                sensitivities=formula_sensitivities(layers),
                reference=reference,
            )

        return SearchProblem(
            space=space,
            budget=budget,
            evaluator=evaluator,
            table=table,
            reference=reference,
            make_env=make_env,
            retrainer=lambda config: Retrainer(
                self.network, self.train.images, self.train.labels, config
            ),
            prepare=self.network.clone,
            sensitivities=StoredSensitivities(
                self.network,
                self.train,
                SensitivityConfig(images=64, batch_size=32, draws=2, orthogonality_images=32),
                self.store,
                ledger,
            ),
            ledger=ledger,
            train=self.train,
            search=self.search,
            state_folder=state_folder,
            log_folder=log_folder,
        )

    def _graph(self, bits: int) -> Any:
        network = self.network.clone()
        network.set_allocation(Allocation.uniform(network.layers, bits))
        return convert(network)


@pytest.fixture(scope="session")
def sensitivity_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("store") / "store.sqlite") as store:
        yield store


@pytest.fixture
def problems(
    network: QuantizedNetwork, digits: Any, sensitivity_store: Store
) -> Callable[..., SearchProblem]:
    return Problems(
        network=network,
        store=sensitivity_store,
        train=Split(images=digits.train_images, labels=digits.train_labels),
        search=Split(
            images=digits.test_images[:SEARCH_IMAGES], labels=digits.test_labels[:SEARCH_IMAGES]
        ),
    ).make


@pytest.fixture(scope="session")
def fashion_problems(sensitivity_store: Store) -> Callable[..., SearchProblem]:
    """The same with Fashion-MNIST's network, trained shortly on a part of the images."""
    if not FASHION_MNIST_FOLDER.is_dir():
        pytest.skip(f"no {FASHION_MNIST_FOLDER}: apt-get install dataset-fashion-mnist")
    task = load_task(TaskConfig(name="fashion-mnist"))
    images, labels = task.train.images[:4096], task.train.labels[:4096]
    torch.manual_seed(0)
    module = task.make_module()
    train_float(module, images, labels, TrainConfig(epochs=2, learning_rate=0.05), seed=0)
    return Problems(
        network=prepare_calibrated(module.eval(), images[:256]),
        store=sensitivity_store,
        train=Split(images=images, labels=labels),
        search=Split(images=task.search.images[:512], labels=task.search.labels[:512]),
    ).make
