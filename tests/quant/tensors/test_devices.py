"""Which device a word means, and that every step takes all of its tensors there."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from quant.convert import convert
from quant.equalization import equalize
from quant.errors import TrainingError
from quant.network import QuantizedNetwork, prepare
from quant.retraining.compensation import compensate
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.float_training import TrainConfig, train_float
from quant.retraining.integer_scores import integer_scores
from quant.retraining.retrainer import Retrainer
from quant.retraining.staged import StagedRetraining
from quant.sensitivities import (
    fisher_sensitivity,
    gauss_newton_sensitivity,
    hessian_sensitivity,
    measured_sensitivity,
    orthogonality,
)
from quant.sensitivities.batches import batches_of
from quant.sensitivities.outliers import find_outliers
from quant.tensors import moving
from quant.tensors.devices import CPU, choose_device, is_device
from quant.tensors.moving import device_of, fetch, move, number, place, placed
from quant.testing import (
    TinyResidualNet,
    at_bits,
    prepare_calibrated,
    random_images,
)
from quant.torch_integer import integer_outputs, integers_on
from tests.quant.special_networks import SPECIAL_NETWORKS
from tests.quant.tensors.elsewhere import META, NoMixing, elsewhere

CONFIG = FinetuneConfig(
    steps=2, batch_size=8, compensation_images=0, scale_images=16, held_back_images=8
)
"""Weights are rounded by a step of its own: the device that is not here is slow at it."""
AS_BEFORE = FinetuneConfig(
    **{"steps": 2, "batch_size": 8, "optimizer": "sgd", "learning_rate": 0.01},  # type: ignore[arg-type]
    held_back_images=8,
)


def test_words_that_are_no_device_are_refused() -> None:
    assert all(map(is_device, ("auto", "cpu", "cuda", "cuda:3", "mps")))
    assert not any(map(is_device, ("gpu", "cuda:", "cuda:x", "", "CPU", "meta")))
    with pytest.raises(TrainingError, match=r"expected auto, cpu, cuda, .* found 'gpu'"):
        choose_device("gpu")


def test_auto_is_the_cpu_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU


@pytest.mark.parametrize(("word", "there"), [("cuda", 0), ("cuda:2", 2)])
def test_a_device_that_is_not_here_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, word: str, there: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    found = f"{there} of them" if there else "none"
    with pytest.raises(TrainingError, match=f"a device for {word}, found {found}") as raised:
        choose_device(word)
    assert "--env.device cpu" in raised.value.hint


def test_what_is_on_the_cpu_stays_the_same_tensor() -> None:
    value = torch.ones(3, requires_grad=True)
    assert move(value, CPU) is value
    assert fetch(value) is value
    assert number(value.sum()) == 3.0
    network = nn.Linear(2, 2)
    weight = network.weight
    with placed(network, CPU):
        assert network.weight is weight


def test_the_watch_sees_a_tensor_that_was_left_behind() -> None:
    there, here = torch.ones(3, device=META), torch.ones(3)
    with NoMixing() as watched:
        assert (there * torch.ones(())).device == META
        with pytest.raises(AssertionError, match="mixes devices"):
            there + here
        with pytest.raises(AssertionError, match="mixes devices"):
            there[torch.tensor([0])]
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            float(there.sum())
    assert watched.there


@cache
def calibrated() -> tuple[nn.Module, QuantizedNetwork]:
    torch.manual_seed(0)
    module = TinyResidualNet().eval()
    return module, at_bits(prepare_calibrated(module, random_images(24)), 4)


class Prepared:
    """One network on the device that is not here, with images and labels that are."""

    def __init__(self) -> None:
        module, network = calibrated()
        self.module, self.network = copy.deepcopy(module), network.clone()
        self.images, self.labels = random_images(24), torch.arange(24) % 5
        place(self.network, META)

    @property
    def retrainer(self) -> Retrainer:
        return Retrainer(self.network, self.images, self.labels, CONFIG)


def float_training(made: Prepared) -> None:
    with placed(made.module, META):
        assert device_of(made.module) == META
        config = TrainConfig(epochs=1, batch_size=16)
        train_float(made.module, made.images, made.labels, config, seed=0)
    assert device_of(made.module) == CPU


def calibration(made: Prepared) -> None:
    network = prepare(made.module, made.images[:1])
    place(network, META)
    equalize(network, made.images)
    network.calibrate(made.images)
    find_outliers(network, made.images)
    network.set_allocation(made.network.allocation)


def compensation(made: Prepared) -> None:
    compensate(made.network, made.images)


def retraining(made: Prepared) -> None:
    assert made.retrainer.retrain(made.network, seed=0).kept == "start"  # all losses are one
    config = replace(CONFIG, held_back_images=0, steps=1)
    kept = Retrainer(made.network, made.images, made.labels, config)
    assert kept.retrain(made.network, seed=0).kept == "trained"


def plain_descent(made: Prepared) -> None:
    Retrainer(made.network, made.images, made.labels, AS_BEFORE).retrain(made.network, seed=0)


def carrying_on(made: Prepared) -> None:
    made.retrainer.carry_on(made.network, seed=0)


def stages(made: Prepared) -> None:
    assert made.network.allocation is not None
    staged = StagedRetraining(made.retrainer.basis, decisions=2, seed=0)
    for layer in made.network.layers[:2]:
        staged.decide(made.network.allocation, [layer.name])
    staged.finish()


def scoring(made: Prepared) -> None:
    graph = convert(made.network)
    assert device_of(made.network) == META
    integer_scores(graph, made.images, made.labels, device=META)


def sensitivities(made: Prepared) -> None:
    batches = batches_of(made.images[:4], made.labels[:4], 4)
    for estimate in (measured_sensitivity, gauss_newton_sensitivity, fisher_sensitivity):
        estimate(made.network, batches, (2,))
    hessian_sensitivity(made.network, batches, (2,), draws=1)
    orthogonality(made.network, batches)


STEPS = (
    *(float_training, calibration, compensation, retraining, plain_descent, carrying_on, stages),
    *(scoring, sensitivities),
)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_every_step_takes_its_tensors_to_the_device(
    monkeypatch: pytest.MonkeyPatch, step: Callable[[Prepared], None]
) -> None:
    made = Prepared()
    with elsewhere(monkeypatch) as watched:
        step(made)
    assert watched.there, "nothing ran there"


def test_training_does_not_wait_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides the next step stays on the CPU; losses are looked at together."""
    made, reads = Prepared(), list[torch.Size]()
    config = replace(CONFIG, steps=32, held_back_images=0, scale_images=0)
    retrainer = Retrainer(made.network, made.images, made.labels, config)
    with elsewhere(monkeypatch):
        retrainer.basis.deviations()
        read = moving._read

        def count(value: torch.Tensor) -> torch.Tensor:
            reads.append(value.shape)
            return read(value)

        monkeypatch.setattr(moving, "_read", count)
        retrainer.basis.finetune(made.network, 1.0, 0)
    assert reads.count(torch.Size([16])) == 2
    assert len(reads) <= 2 + len(made.network.layers), "a scale for each layer before the first"


@pytest.mark.parametrize("name", list(SPECIAL_NETWORKS))
def test_parts_that_are_left_in_float_run_there_too(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A captured program has the CPU written into what it makes itself."""
    torch.manual_seed(0)
    module: Any = SPECIAL_NETWORKS[name][0]().eval()
    images = random_images(4, module.input_shape)
    network = at_bits(prepare_calibrated(module, images), 8)
    place(network, META)
    with elsewhere(monkeypatch):
        network(images)
        network.float_outputs(images)
        place(network, CPU)
        network(images)
    graph = convert(network)
    assert integers_on(graph, META) == (CPU if network.graph.islands else META)


def values(network: QuantizedNetwork, device: torch.device) -> list[torch.Tensor]:
    graph = convert(at_bits(network, 4))
    return list(integer_outputs(graph, random_images(64), device))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_integers_of_a_cuda_device_are_those_of_the_cpu(network: QuantizedNetwork) -> None:
    """Never run so far: no machine of this project has had one."""
    for here, there in zip(
        values(network, CPU), values(network, torch.device("cuda")), strict=True
    ):
        assert torch.equal(here, fetch(there))
