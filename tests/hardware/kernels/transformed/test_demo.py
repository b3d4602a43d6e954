"""The demo's budget can be served by bits on every CPU with dot-product instructions."""

from pathlib import Path
from typing import Any

import pytest

from env.tasks.networks.catalogue import NETWORKS
from experiments.settings.load import read_config_file
from hardware.kernels.planning.family_limits import family_shares
from hardware.target import TargetConfig
from quant.allocation import Allocation
from quant.convert import convert
from quant.testing import prepare_calibrated, random_images

DEMO = read_config_file(Path(__file__).parents[4] / "experiments/configs/digits.yaml")


@pytest.mark.parametrize(
    "target",
    [
        TargetConfig(mcpu="cascadelake", family="avx512-vnni"),
        TargetConfig(mcpu="alderlake", family="avx-vnni"),
        TargetConfig(board="rpi5"),
    ],
    ids=lambda target: target.family,
)
def test_four_bits_multiply_less_than_half_of_what_the_budget_leaves(target: Any) -> None:
    network = prepare_calibrated(NETWORKS["digits-even"](), random_images(16, (1, 8, 8)))

    def work(bits: int) -> float:
        """Return the products that are computed, after transforms."""
        network.set_allocation(Allocation.uniform(network.layers, bits))
        shares = family_shares(convert(network), target)
        return sum(share.products / share.family.stands_for for share in shares)

    assert DEMO.target.dot_product
    assert DEMO.task.network == "digits-even"
    assert DEMO.budget.latency_ratio is not None
    # Transforms take a part of what the products save.
    assert work(4) < 0.6 * DEMO.budget.latency_ratio * work(8)
    assert work(6) == work(8) > DEMO.budget.latency_ratio * work(8)
