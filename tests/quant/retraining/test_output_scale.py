"""The scale of the logits: fitted to what the loss asks for, and no code moves."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from quant.allocation import Allocation
from quant.convert import convert
from quant.layers import FLOAT_BITS
from quant.network import QuantizedNetwork
from quant.objective.loss import BINARY_CROSS_ENTROPY
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.output_scale import fit_output_scale
from quant.retraining.retrainer import Retrainer
from quant.testing import at_bits, prepare_calibrated
from quant.torch_integer import integer_logits


def test_logits_that_were_shrunk_are_stretched_again(
    network: QuantizedNetwork, digits: Any
) -> None:
    images, labels = digits.train_images[:256], digits.train_labels[:256]
    at_bits(network, 3)
    with torch.no_grad():
        fit_output_scale(network, images, lambda z: functional.cross_entropy(z, labels))
        before, codes = network(images), integer_logits(convert(network), images).argmax(1)
        head = network.layer(network.layers[-1].name)
        for value in (head.weight, head.bias, head.quantizer.steps):
            value.div_(2.5)
        factor = fit_output_scale(network, images, lambda z: functional.cross_entropy(z, labels))
        after = network(images)
    assert abs(factor - 2.5) < 0.01
    torch.testing.assert_close(after, before, rtol=0.01, atol=0.01)
    assert torch.equal(integer_logits(convert(network), images).argmax(1), codes)


def test_a_network_that_does_not_end_in_a_layer_stays_as_it_is() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.GELU())
    images = torch.randn(64, 1, 4, 4)
    network = at_bits(prepare_calibrated(module, images), 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert fit_output_scale(network, images, lambda z: z.square().mean()) == 1.0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_only_cross_entropy_of_classes_leaves_the_scale_to_be_fitted(
    network: QuantizedNetwork, digits: Any
) -> None:
    config = FinetuneConfig(steps=1, batch_size=8, held_back_images=0, scale_images=64)
    images, labels = digits.train_images, digits.train_labels
    targets = functional.one_hot(labels, 10).float()
    of_classes = Retrainer(network, images, labels, config)
    of_others = Retrainer(network, images, targets, config, loss=BINARY_CROSS_ENTROPY)
    assert of_classes.images_seen() - of_others.images_seen() == 64
    at_bits(network, 4)
    assert of_others.retrain(network, seed=0).kept == "trained"


def test_a_head_that_is_left_in_float_stays_as_it_is(network: QuantizedNetwork) -> None:
    head = network.layers[-1].name
    bits = dict(Allocation.uniform(network.layers, 4).items)
    bits[head] = replace(bits[head], weight_bits=FLOAT_BITS)
    network.set_allocation(Allocation.of(bits))
    before = network.layer(head).weight.clone()
    images = torch.rand(16, *network.layers[0].input_shape)
    assert fit_output_scale(network, images, lambda z: z.square().mean()) == 1.0
    assert torch.equal(network.layer(head).weight, before)
