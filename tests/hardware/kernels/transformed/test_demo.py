"""The demo's budget can be served by bits on every CPU with dot-product instructions."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from env.tasks.networks.catalogue import NETWORKS
from experiments.settings.load import read_config_file
from quant.testing import prepare_calibrated, random_images
from tests.hardware.kernels.transformed.products import DOT_TARGETS, products

DEMO = read_config_file(Path(__file__).parents[4] / "experiments/configs/digits.yaml")


@pytest.mark.parametrize("target", DOT_TARGETS, ids=lambda target: target.family)
def test_four_bits_multiply_less_than_half_of_what_the_budget_leaves(target: Any) -> None:
    network = prepare_calibrated(NETWORKS["digits-even"](), random_images(16, (1, 8, 8)))

    work = partial(products, network, target)
    assert DEMO.target.dot_product
    assert DEMO.task.network == "digits-even"
    assert DEMO.budget.latency_ratio is not None
    # Transforms take a part of what the products save.
    assert work(4) < 0.6 * DEMO.budget.latency_ratio * work(8)
    assert work(6) == work(8) > DEMO.budget.latency_ratio * work(8)
