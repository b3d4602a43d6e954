"""Training that never hurts: what is kept, what is asked of the teacher, and at which rates."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.outputs import Outputs
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.loop import Augment
from quant.retraining.rates import output_deviations, rates_of, reach_of
from quant.retraining.retrainer import Retrainer
from quant.testing import at_bits, prepare_calibrated

QUICK = FinetuneConfig(steps=12, batch_size=32, compensation_images=48, held_back_images=150)


def make(
    network: QuantizedNetwork,
    digits: Any,
    config: FinetuneConfig = QUICK,
    augment: Augment | None = None,
    labels: torch.Tensor | None = None,
) -> Retrainer:
    labels = digits.train_labels if labels is None else labels
    return Retrainer(network, digits.train_images, labels, config, augment=augment)


def same(one: nn.Module, two: nn.Module) -> bool:
    other = two.state_dict()
    return all(torch.equal(value, other[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("rate", [1.0, 1e30])
def test_a_training_that_ruins_the_network_leaves_it_where_it_began(
    network: QuantizedNetwork, digits: Any, rate: float
) -> None:
    at_bits(network, 4)
    start = network.clone()
    retrainer = make(network, digits, replace(QUICK, learning_rate=rate))
    make(network, digits, replace(QUICK, steps=0)).retrain(start, seed=0)
    retrained = retrainer.retrain(network, seed=0)
    assert retrained.kept == "start"
    assert same(network, start)
    assert not network.training
    assert retrained.start_loss is not None
    assert retrained.trained_loss is None or retrained.trained_loss > retrained.start_loss


def test_a_training_that_helps_is_kept(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 2)
    longer = replace(QUICK, steps=60)
    retrained = make(network, digits, longer).retrain(network, seed=0)
    assert retrained.kept == "trained"
    assert retrained.start_loss is not None
    assert retrained.trained_loss is not None
    assert retrained.trained_loss < retrained.start_loss


def test_a_start_that_is_no_number_is_an_error(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 4)
    with torch.no_grad():
        network.layer("classifier").bias[0] = torch.nan
    config = replace(QUICK, compensation_images=0)
    with pytest.raises(TrainingError, match="finite loss before retraining, found nan"):
        make(network, digits, config).retrain(network, seed=0)


def test_held_back_images_are_never_trained_on(network: QuantizedNetwork, digits: Any) -> None:
    data = make(network, digits).basis.data
    held_back, _ = data.held_back
    rows = {image.numpy().tobytes() for image in data.first(len(data))}
    assert len(held_back) == 150
    assert len(data) == len(digits.train_images) - 150
    assert not rows & {image.numpy().tobytes() for image in held_back[:]}


def test_a_fifth_of_few_images_is_held_back(network: QuantizedNetwork, digits: Any) -> None:
    images, labels = digits.train_images[:40], digits.train_labels[:40]
    data = Retrainer(network, images, labels, FinetuneConfig()).basis.data
    assert (len(data), len(data.held_back[1])) == (32, 8)


def test_a_teacher_alone_needs_no_labels(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 3)
    twin = network.clone()
    config = replace(QUICK, teacher_weight=1.0, held_back_images=0)
    make(network, digits, config).retrain(network, seed=1)
    wrong = digits.train_labels.roll(1)
    make(twin, digits, config, labels=wrong).retrain(twin, seed=1)
    assert same(network, twin)


def note_what_the_teacher_sees(retrainer: Retrainer) -> list[int]:
    """Return the numbers of images that the teacher looks at together from now on."""
    asked: list[int] = []
    teacher = retrainer.basis.data._teacher
    float_outputs = teacher.float_outputs

    def noted(x: torch.Tensor, **taps: Any) -> Outputs:
        asked.append(len(x))
        return float_outputs(x, **taps)

    teacher.float_outputs = noted  # type: ignore[method-assign]
    return asked


def test_the_teacher_looks_at_each_view_once(network: QuantizedNetwork, digits: Any) -> None:
    def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return images + torch.randn(images.shape, generator=generator) * 0.1

    at_bits(network, 3)
    retrainer = make(network, digits, augment=augment)
    asked = note_what_the_teacher_sees(retrainer)
    first, second = network.clone(), network.clone()
    retrainer.retrain(first, seed=0)
    seen = sum(asked)
    assert seen >= 12 * 32
    retrainer.retrain(second, seed=0)  # another candidate: the same pixels, nothing asked again
    assert sum(asked) == seen
    assert same(first, second)


def test_the_teacher_looks_at_whole_batches_whatever_it_saw_before(
    network: QuantizedNetwork, digits: Any
) -> None:
    """A resumed run trains on without what the run before it had computed."""
    at_bits(network, 3)
    fresh, used = make(network, digits), make(network, digits)
    twin = network.clone()
    used.retrain(network.clone(), seed=5)
    asked = note_what_the_teacher_sees(used)
    used.retrain(twin, seed=1)
    fresh.retrain(network, seed=1)
    assert asked == [32] * 12
    assert same(network, twin)


def test_no_views_are_the_images_themselves(network: QuantizedNetwork, digits: Any) -> None:
    config = replace(QUICK, views=0)
    data = make(network, digits, config, augment=lambda images, generator: -images).basis.data
    ((images, _, _),) = data.batches([(3, torch.arange(5))])
    assert torch.equal(images, data.first(5))


def test_weights_that_fell_behind_are_not_carried_on(
    network: QuantizedNetwork, digits: Any
) -> None:
    retrainer = make(network, digits)
    checkpoint, carried = network.clone(), network.clone()
    at_bits(carried, 3)
    with torch.no_grad():
        carried.layer("head").weight.mul_(-1)
    better, retrained = retrainer.carry_on(carried, seed=0)
    assert retrained.kept == "start"
    assert better is not carried
    assert better.allocation == carried.allocation
    assert same(carried, checkpoint)


def test_weights_that_are_better_are_carried_on(network: QuantizedNetwork, digits: Any) -> None:
    retrainer = make(network, digits, replace(QUICK, steps=40))
    at_bits(network, 2)
    for seed in range(3):
        better, retrained = retrainer.carry_on(network, seed=seed)
    assert retrained.kept == "trained"
    assert better is network


def test_what_a_network_is_scaled_by_scales_its_rates(trained_net: nn.Module, digits: Any) -> None:
    """Inputs of 0..255 and weights to match: the same network, moved by the same shares."""
    images = digits.train_images[:128]
    network = prepare_calibrated(trained_net, images)
    scaled = prepare_calibrated(trained_net, images)
    with torch.no_grad():
        scaled.layer("stem.0").weight.div_(255)
    scaled.calibrate(images * 255)
    first, second = (
        rates_of(at_bits(each, 4), QUICK, output_deviations(each, x))
        for each, x in ((network, images), (scaled, images * 255))
    )
    assert set(first) == set(second)
    for name, rate in first.items():
        factor = 1 / 255 if name.startswith("layer_modules.stem/0.") and "bias" not in name else 1.0
        if name == "tensor_modules.x.steps" or name.endswith(f"{network.graph.input}.steps"):
            factor = 255.0
        torch.testing.assert_close(second[name], factor * rate, rtol=1e-3, atol=0)


def test_an_absolute_rate_is_one_for_all(network: QuantizedNetwork, digits: Any) -> None:
    config = FinetuneConfig(learning_rate=1e-3)
    rates = rates_of(network, config, output_deviations(network, digits.train_images[:8]))
    steps = {float(r.max()) for name, r in rates.items() if name.endswith("steps")}
    others = {float(r.max()) for name, r in rates.items() if not name.endswith("steps")}
    assert list(steps) == pytest.approx([1e-4])
    assert list(others) == pytest.approx([1e-3])


def test_plain_descent_needs_a_rate() -> None:
    with pytest.raises(TrainingError, match="expected a rate for the optimizer sgd"):
        FinetuneConfig(optimizer="sgd")


def test_the_more_is_to_be_mended_the_further_values_move(
    network: QuantizedNetwork, digits: Any
) -> None:
    assert reach_of(0.3, 0.3) == reach_of(0.2, 0.3) == pytest.approx(0.05)
    assert reach_of(0.32, 0.3) < reach_of(0.36, 0.3) < reach_of(3.0, 0.3) == 1.0
    assert reach_of(0.0, 0.0) < reach_of(None, None) < 1.0
    spread = output_deviations(network, digits.train_images[:8])
    far, near = (rates_of(at_bits(network, 4), QUICK, spread, reach) for reach in (1.0, 0.5))
    for name, rate in far.items():
        power = 1 if name.endswith("weight") else 3
        torch.testing.assert_close(near[name], 0.5**power * rate)
