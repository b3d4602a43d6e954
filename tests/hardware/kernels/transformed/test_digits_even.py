"""Bits can serve the budget of digits.yaml on every CPU with dot-product instructions."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from env.tasks.networks.catalogue import NETWORKS
from experiments.settings.load import read_config_file
from quant.testing import prepare_calibrated, random_images
from tests.hardware.kernels.transformed.products import DOT_TARGETS, products

CONFIG = read_config_file(Path(__file__).parents[4] / "experiments/configs/digits.yaml")


@pytest.mark.parametrize("target", DOT_TARGETS, ids=lambda target: target.family)
def test_four_bits_multiply_less_than_half_of_what_the_budget_leaves(target: Any) -> None:
    network = prepare_calibrated(NETWORKS["digits-even"](), random_images(16, (1, 8, 8)))

    work = partial(products, network, target)
    assert CONFIG.target.dot_product
    assert CONFIG.task.network == "digits-even"
    assert CONFIG.budget.latency_ratio is not None
    # Transforms take a part of what the products save.
    assert work(4) < 0.6 * CONFIG.budget.latency_ratio * work(8)
    assert work(6) == work(8) > CONFIG.budget.latency_ratio * work(8)
