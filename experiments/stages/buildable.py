"""Whether the device's compiler takes a network, asked before the network is trained."""

from env.tasks import Task
from hardware.device import Device
from quant.allocation import Allocation
from quant.convert import convert
from quant.layers import MAX_BITS
from quant.network import prepare

_IMAGES = 8
"""Enough to give an untrained network scales; nobody looks at what it computes."""


def check_buildable(task: Task, device: Device) -> None:
    """Refuse a network whose float islands cannot be compiled for a device.

    Raises:
        CaptureError: the network cannot be captured.
        BuildError: an island has an operator that the compiler lacks.
    """
    network = prepare(task.make_module(), task.example)
    if not network.graph.islands:
        return  # integer operators have kernels everywhere
    network.calibrate(task.train.images[:_IMAGES])
    network.set_allocation(Allocation.uniform(network.layers, MAX_BITS))
    device.identity(convert(network, task.network))
