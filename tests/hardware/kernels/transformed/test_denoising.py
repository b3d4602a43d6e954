"""Bits buy time on the denoising network on every CPU with dot-product instructions."""

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.denoising import PARTS, SIZE, data, network
from experiments.settings.load import read_config_file
from quant.testing import prepare_calibrated, random_images
from tests.hardware.kernels.transformed.products import DOT_TARGETS, products

CONFIG = read_config_file(Path(__file__).parents[4] / "experiments/configs/denoising.yaml")


@pytest.mark.parametrize("target", DOT_TARGETS, ids=lambda target: target.family)
def test_four_bits_and_two_multiply_less_than_eight(target: Any) -> None:
    prepared = prepare_calibrated(network().eval(), random_images(16, (1, SIZE, SIZE)))

    work = partial(products, prepared, target)
    assert CONFIG.target.dot_product
    assert CONFIG.budget.latency_share == 0.5
    assert work(6) == work(8)
    assert work(4) < 0.5 * work(8)
    assert work(2) < 0.75 * work(4)


def test_no_pixel_of_the_test_split_is_in_another() -> None:
    """Patches are cut of columns of their own, of photographs that are 640 pixels wide."""
    parts = data()
    assert {name: labels.shape[1:] for name, (_, labels) in parts.items()} == dict.fromkeys(
        ("train", "search", "test"), (1, SIZE, SIZE)
    )
    columns = [(int(begin * 640), int(end * 640)) for begin, end, _ in PARTS.values()]
    assert all(before[1] <= after[0] for before, after in pairwise(columns))
    for noisy, clean in parts.values():
        assert 0.09 < np.std(noisy - clean) < 0.11
