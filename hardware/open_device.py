"""Opening the device that a configuration names."""

from hardware.errors import TargetError
from hardware.host.local.device import LocalDevice
from hardware.host.remote.device import RpcDevice
from hardware.kept_ruler import KeptRuler
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.energy_gauge import open_gauge
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from hardware.store import Store
from hardware.target import TargetConfig


def open_device(
    config: TargetConfig,
    protocol: ProtocolConfig,
    energy: EnergyConfig | None = None,
    store: Store | None = None,
) -> LocalDevice | RpcDevice | SimulatedDevice:
    """Return the device of `config.runner`; the caller closes it.

    Args:
        config: Names the device.
        protocol: How programs are timed.
        energy: The meter that is read beside; None for none.
        store: Knows how fast this machine was before, and is told; None for nobody.

    Raises:
        TargetError: the meter is not there, or is asked for where nothing runs.
    """
    if config.remote:
        return RpcDevice(config, protocol, energy)
    if config.runner != "simulated":
        return LocalDevice(config, protocol, energy, None if store is None else KeptRuler(store))
    if energy is None or not energy.known:
        return SimulatedDevice(protocol)
    if energy.meter != "modelled":
        raise TargetError(
            f"energy.meter: expected none or modelled for a simulated device, found "
            f"{energy.meter}: no program runs that a meter could see",
            "use --target.runner local or --energy.meter modelled --energy.modelled-w WATTS",
        )
    return SimulatedDevice(protocol, open_gauge(energy))
