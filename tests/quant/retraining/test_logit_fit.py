"""The fit of the logits: what was scaled and moved comes back, and no code moves."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from quant.allocation import Allocation
from quant.convert import convert
from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork
from quant.objective.loss import BINARY_CROSS_ENTROPY
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.logit_fit import (
    LogitFit,
    apply_fit,
    as_integers,
    fit_logits,
    logit_layer,
    may_be_fitted,
)
from quant.retraining.retrainer import Retrainer
from quant.testing import at_bits, prepare_calibrated
from quant.torch_integer import integer_logits


def test_logits_that_were_scaled_and_moved_come_back() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(4000, 5, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    wrong = LogitFit(
        scales=torch.tensor([0.4, 0.5, 0.7, 0.5, 0.4]),
        offsets=torch.tensor([0.4, -0.3, 0.0, 0.2, -0.1]),
    ).of(logits)
    fit = fit_logits(wrong, lambda z: functional.cross_entropy(z, labels))
    before, found, true = (
        float(functional.cross_entropy(z, labels)) for z in (wrong, fit.of(wrong), logits)
    )
    assert found < true + 0.005 < before - 0.1


def test_a_fit_is_applied_by_steps_and_biases_alone(network: QuantizedNetwork, digits: Any) -> None:
    images = digits.train_images[:64]
    at_bits(network, 3)
    layer = logit_layer(network.graph)
    assert layer == network.layers[-1].name
    codes = [op.weight for op in convert(network).layer_ops()]
    before = integer_logits(convert(network), images)
    fit = LogitFit(scales=torch.linspace(0.5, 2, 10), offsets=torch.linspace(-1, 1, 10))
    applied = as_integers(network, layer, fit)
    assert (applied.offsets - fit.offsets).abs().max() > 0.01  # a code is worth as much at 3 bits
    apply_fit(network, layer, fit)
    after = integer_logits(convert(network), images)
    torch.testing.assert_close(after, applied.of(before), rtol=1e-4, atol=1e-4)
    for op, weight in zip(convert(network).layer_ops(), codes, strict=True):
        assert (op.weight == weight).all()


def test_few_images_move_little() -> None:
    logits, labels = torch.zeros(8, 4), torch.tensor([0, 0, 0, 0, 0, 0, 1, 2])
    fit = fit_logits(logits, lambda z: functional.cross_entropy(z, labels))
    assert 0.05 < float(fit.offsets[0]) < 0.8  # by the labels alone without bound


@pytest.mark.parametrize("last", [nn.GELU(), nn.ReLU()])
def test_a_network_that_does_not_end_in_a_layers_sums_has_none(last: nn.Module) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), last)
    images = torch.randn(64, 1, 4, 4)
    assert not logit_layer(prepare_calibrated(module, images).graph)


def test_only_cross_entropy_of_classes_has_logits_that_are_fitted(
    network: QuantizedNetwork, digits: Any
) -> None:
    config = FinetuneConfig(
        steps=1, batch_size=8, held_back_images=0, scale_images=64, compensation_images=8
    )
    images, labels = digits.train_images, digits.train_labels
    targets = functional.one_hot(labels, 10).float()
    of_classes = Retrainer(network, images, labels, config)
    of_others = Retrainer(network, images, targets, config, loss=BINARY_CROSS_ENTROPY)
    assert of_classes.images_seen() - of_others.images_seen() == 2 * 64
    at_bits(network, 4)
    assert of_others.retrain(network, seed=0).kept == "trained"


def test_a_head_that_is_left_in_float_stays_as_it_is(network: QuantizedNetwork) -> None:
    head = network.layers[-1].name
    bits = dict(Allocation.uniform(network.layers, 4).items)
    bits[head] = replace(bits[head], weight_bits=FLOAT_BITS)
    network.set_allocation(Allocation.of(bits))
    assert not may_be_fitted(network, logit_layer(network.graph))
    assert may_be_fitted(at_bits(network, 4), head)


def test_a_fit_that_does_not_help_others_is_not_kept(
    network: QuantizedNetwork, digits: Any
) -> None:
    """Labels of the images that are fitted to are wrong; those that are held back are right."""
    at_bits(network, 4)
    config = FinetuneConfig(steps=0, compensation_images=0, scale_images=64, teacher_weight=0.0)
    labels = digits.train_labels
    right = Retrainer(network, digits.train_images, labels, config)
    wrong_labels = labels.clone()
    wrong_labels[right.basis.data._trained_on] = (labels[right.basis.data._trained_on] + 1) % 10
    before = network.layer(network.layers[-1].name).bias.clone()
    Retrainer(network, digits.train_images, wrong_labels, config).retrain(network, seed=0)
    assert torch.equal(network.layer(network.layers[-1].name).bias, before)
    right.retrain(network, seed=0)
    assert not torch.equal(network.layer(network.layers[-1].name).bias, before)
