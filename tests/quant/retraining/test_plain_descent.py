"""Plain descent on labels is torch's own, to the bit: what earlier versions trained by."""

import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import at_bits, retrain

STEPS, BATCH, SEED = 40, 64, 5
PLAIN = FinetuneConfig(
    steps=STEPS,
    batch_size=BATCH,
    optimizer="sgd",
    learning_rate=0.01,
    step_learning_rate=0.02,
    momentum=0.9,
    weight_decay=1e-4,
    warm_up_steps=0,
    clip_norm=0.0,
    averaging=0.0,
    teacher_weight=0.0,
    compensation_images=0,
    scale_images=0,
    held_back_images=0,
)


def train_by_torch(network: QuantizedNetwork, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Train and return the mean loss of the last quarter of the steps."""
    optimizer = torch.optim.SGD(
        [
            {"params": network.weight_parameters(), "weight_decay": 1e-4},
            {"params": network.step_parameters(), "weight_decay": 0.0, "lr": 0.02},
        ],
        lr=0.01,
        momentum=0.9,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1.0 + math.cos(math.pi * step / STEPS))
    )
    generator = torch.Generator().manual_seed(SEED)
    losses: list[float] = []
    network.train()
    while len(losses) < STEPS:
        for picked in torch.randperm(len(images), generator=generator).split(BATCH):
            if len(losses) == STEPS:
                break
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images[picked]), labels[picked])
            loss.backward()
            optimizer.step()
            schedule.step()
            network.note_training_step()
            losses.append(float(loss.detach()))
    network.eval()
    last = losses[-(STEPS // 4) :]
    return sum(last) / len(last)


@pytest.mark.parametrize("bits", [3, 8])
def test_plain_descent_is_that_of_torch_to_the_bit(
    network: QuantizedNetwork, digits: Any, bits: int
) -> None:
    images, labels = digits.train_images, digits.train_labels
    assert len(images) < STEPS * BATCH, "more than one pass, whose last batch is short"
    start = at_bits(network, bits)
    ours, theirs = start.clone(), start.clone()
    retrained = retrain(ours, images, labels, PLAIN, seed=SEED)
    assert retrained.loss == train_by_torch(theirs, images, labels)
    assert retrained.kept == "trained"
    expected = theirs.state_dict()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, expected[name]), name
    head = start.layer("head").weight
    assert not torch.equal(ours.layer("head").weight, head)
