"""What dot products are left of a network, after transforms, on CPUs that have them."""

from typing import Any

from hardware.kernels.planning.family_limits import family_shares
from hardware.target import TargetConfig
from quant.allocation import Allocation
from quant.convert import convert
from quant.network import QuantizedNetwork

DOT_TARGETS = (
    TargetConfig(mcpu="cascadelake", family="avx512-vnni"),
    TargetConfig(mcpu="alderlake", family="avx-vnni"),
    TargetConfig(board="rpi5"),
)


def products(network: QuantizedNetwork, target: Any, bits: int) -> float:
    """Return the products that are computed with all layers at one width."""
    network.set_allocation(Allocation.uniform(network.layers, bits))
    shares = family_shares(convert(network), target)
    return sum(share.products / share.family.stands_for for share in shares)
