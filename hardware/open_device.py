"""Opening the device that a configuration names."""

from hardware.local import LocalDevice
from hardware.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.target import TargetConfig

__all__ = ["open_device"]


def open_device(config: TargetConfig, protocol: ProtocolConfig) -> LocalDevice | SimulatedDevice:
    """Return the device of `config.runner`; the caller closes it."""
    if config.runner == "simulated":
        return SimulatedDevice(protocol)
    return LocalDevice(config, protocol)
