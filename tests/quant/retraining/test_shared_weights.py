"""A training in which every batch has bits of its own, beside all-8 on the same images."""

import pytest
import torch

from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.network import QuantizedNetwork
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


def trained(widths: tuple[int, ...]) -> tuple[QuantizedNetwork, list[tuple[int, float, int]]]:
    """Train at uniform widths in turn; return the network and what was seen of each batch."""
    one = network()
    images = torch.rand(160, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = (images.mean((1, 2, 3)) * 30).long() % 3
    asked, seen = iter(range(100)), list[tuple[int, float, int]]()

    def ask() -> Allocation:
        return Allocation.uniform(one.layers, widths[next(asked) % len(widths)])

    def see(allocation: Allocation, rise: float, images: int) -> None:
        seen.append((allocation.items[0][1].weight_bits, rise, images))

    train_shared(one, Basis(one, images, labels, CONFIG), ask, see, seed=3)
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


@pytest.mark.parametrize("steps", [1, 8, 20])
def test_images_are_counted_at_all_8_and_at_the_bits(steps: int) -> None:
    config = FinetuneConfig(steps=steps, batch_size=16, held_back_images=32)
    # 128 are trained on, in 8 batches.
    assert shared_images_seen(config, 160) == 2 * 16 * steps + 32
