"""Bits buy time on the denoising network on every CPU with dot-product instructions."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from examples import denoising
from examples.denoising import NOISE, SIZE, data, network
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


def test_no_pixel_of_the_test_split_is_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.broadcast_to(np.arange(640.0)[None, :, None], (427, 640, 3))
    photographs = SimpleNamespace(images=[columns])
    monkeypatch.setattr(denoising, "load_sample_images", lambda: photographs)
    cut = {name: set(np.rint(255 * clean).ravel()) for name, (_, clean) in data().items()}
    assert all(len(cut[name]) == 7 * SIZE for name in ("search", "test"))
    assert len(cut["train"]) == 7 * 3 * SIZE
    assert sum(map(len, cut.values())) == len(set.union(*cut.values()))


def test_patches_are_as_noisy_as_they_say() -> None:
    for noisy, clean in data().values():
        assert clean.shape[1:] == (1, SIZE, SIZE)
        assert 0.98 * NOISE < np.std(noisy - clean) < 1.02 * NOISE
