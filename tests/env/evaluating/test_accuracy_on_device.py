"""Accuracy taken on the compiled network itself: the integer reference's count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluator import Evaluator
from hardware.errors import BuildError
from hardware.host.local.device import LocalDevice
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import random_allocation
from tests.env.conftest import SmallDigits


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalDevice]:
    folder: Path = tmp_path_factory.mktemp("kernels")
    config = TargetConfig(kernel_cache=str(folder), tune_s=0.0)
    protocol = ProtocolConfig(warmups=0, repeats=5, min_repeat_ms=0.1, batch=7)
    device = LocalDevice(config, protocol)
    yield device
    device.close()


def evaluator(
    small_digits: SmallDigits, device: LocalDevice, accuracy_on: Literal["integers", "device"]
) -> Evaluator:
    return Evaluator(
        small_digits.network.clone(),
        device,
        small_digits.task.train,
        small_digits.task.search,
        EnvConfig(
            accuracy_on=accuracy_on,
            finetune=FinetuneConfig(steps=3, compensation_images=16, held_back_images=32),
        ),
        seed=0,
        limit=8,
    )


def test_the_compiled_network_counts_what_the_integers_count(
    small_digits: SmallDigits, device: LocalDevice
) -> None:
    allocation = random_allocation(small_digits.network.layers, np.random.default_rng(3))
    (here,) = evaluator(small_digits, device, "integers").evaluate([allocation])
    (there,) = evaluator(small_digits, device, "device").evaluate([allocation])
    assert here.error == there.error == ""
    assert 0.3 < there.score < 1.0
    assert there.score == here.score
    assert there.loss == pytest.approx(here.loss, abs=1e-9)


def test_a_candidate_that_cannot_run_is_a_value(
    small_digits: SmallDigits, device: LocalDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BuildError("no kernel for this one")

    search = evaluator(small_digits, device, "device")
    monkeypatch.setattr(device, "run", broken)
    allocation = random_allocation(small_digits.network.layers, np.random.default_rng(3))
    (evaluation,) = search.evaluate([allocation])
    assert "no kernel" in evaluation.error
    assert evaluation.score == 0.0
