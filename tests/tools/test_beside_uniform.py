"""What it takes to beat a uniform allocation, and which ones there are."""

import pytest

from env.decisions.space import decision_space
from env.tasks.networks.catalogue import NETWORKS
from quant.testing import prepare_calibrated, random_images
from tools.beside_uniform import verdict


@pytest.mark.parametrize(
    ("gain", "gain_se", "latency_ratio", "expected"),
    [
        (0.21, 0.1, 1.3, "better"),
        (0.19, 0.1, 1.0, ""),
        (0.19, 0.1, 0.95, "as good and faster"),
        (-0.1, 0.1, 0.9, "as good and faster"),
        (-0.11, 0.1, 0.5, ""),
        (0.0, 0.0, 1.0, ""),
    ],
)
def test_an_answer_wins_by_two_errors_or_by_time(
    gain: float, gain_se: float, latency_ratio: float, expected: str
) -> None:
    assert verdict(gain, gain_se, latency_ratio) == expected


def test_every_pair_of_widths_is_a_rival_and_inputs_keep_their_8() -> None:
    network = prepare_calibrated(NETWORKS["digits-narrow"](), random_images(4, (1, 8, 8)))
    found = decision_space(network.layers, (2, 4, 8)).uniform_pairs()
    assert len(found) == len(set(found.values())) == 9
    for (weight, activation), allocation in found.items():
        allocation.check(network.layers)
        first, *others = (bits for _, bits in allocation.items)
        assert (first.weight_bits, first.activation_bits) == (weight, 8)
        assert {str(bits) for bits in others} == {f"{weight}/{activation}"}
