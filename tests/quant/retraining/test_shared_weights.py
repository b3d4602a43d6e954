"""A training in which every batch has bits of its own, beside all-8 on the same images."""

from dataclasses import replace

import pytest
import torch

from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.network import QuantizedNetwork
from quant.objective.loss import CROSS_ENTROPY, Loss
from quant.outputs import Outputs
from quant.retraining.basis import Basis
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.shared_weights import shared_images_seen, train_shared
from quant.testing import prepare_calibrated

CONFIG = FinetuneConfig(
    steps=12,
    batch_size=16,
    compensation_images=0,
    scale_images=0,
    held_back_images=32,
    range_test=False,
)


def network() -> QuantizedNetwork:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)
    )
    return prepare_calibrated(module.eval(), torch.rand(32, 1, 8, 8))


def trained(
    widths: tuple[int, ...], config: FinetuneConfig = CONFIG, loss: Loss = CROSS_ENTROPY
) -> tuple[QuantizedNetwork, list[tuple[int, float, int]]]:
    """Train at uniform widths in turn; return the network and what was seen of each batch."""
    one = network()
    images = torch.rand(160, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = (images.mean((1, 2, 3)) * 30).long() % 3
    asked, seen = iter(range(100)), list[tuple[int, float, int]]()

    def ask() -> Allocation:
        return Allocation.uniform(one.layers, widths[next(asked) % len(widths)])

    def see(allocation: Allocation, rise: float, images: int) -> None:
        seen.append((allocation.items[0][1].weight_bits, rise, images))

    basis = Basis(one, images, labels, config, loss=loss)
    train_shared(one, basis, ask, see, seed=3)
    return one, seen


def test_each_batch_is_seen_at_its_own_bits() -> None:
    one, seen = trained((8, 2, 3))
    assert [bits for bits, *_ in seen] == [2, 3, 8] * 4, "the first is for the rates alone"
    assert all(images == 16 for *_, images in seen)
    assert [rise for bits, rise, _ in seen if bits == MAX_BITS] == [0.0] * 4
    assert max(rise for bits, rise, _ in seen if bits == 2) > 0.0
    assert not torch.equal(one.layer("0").weight, network().layer("0").weight)
    assert int(one.trained_steps) == CONFIG.steps


def test_equal_ones_are_equal_to_the_bit() -> None:
    (one, first), (two, second) = trained((2, 4)), trained((2, 4))
    assert first == second
    assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_what_is_seen_is_what_is_trained_by_and_computed_once(weight: float) -> None:
    computed = list[float]()

    def mean(outputs: Outputs, labels: torch.Tensor) -> torch.Tensor:
        found = CROSS_ENTROPY.mean(outputs, labels)
        if len(labels) == CONFIG.batch_size:  # more are of the held-back images
            computed.append(float(found.detach()))
        return found

    config = replace(CONFIG, teacher_weight=weight)
    one, seen = trained((2, 4), config, replace(CROSS_ENTROPY, mean_of_batch=mean))
    assert len(computed) == 2 * CONFIG.steps
    rises = [low - all_8 for all_8, low in zip(computed[::2], computed[1::2], strict=True)]
    assert [rise for _, rise, _ in seen] == pytest.approx(rises, abs=1e-6)
    two, _ = trained((2, 4), config)
    assert all(map(torch.equal, one.state_dict().values(), two.state_dict().values()))


@pytest.mark.parametrize("steps", [1, 8, 20])
def test_images_are_counted_at_all_8_and_at_the_bits(steps: int) -> None:
    config = FinetuneConfig(steps=steps, batch_size=16, held_back_images=32)
    # 128 are trained on, in 8 batches.
    assert shared_images_seen(config, 160) == 2 * 16 * steps + 32
