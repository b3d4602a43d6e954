"""python -m tests.hardware.host.remote.slow_host SERVER CACHE: its timings take minutes."""

import sys

from hardware.host.remote.device import RpcDevice
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like

_MINUTES = ProtocolConfig(min_repeat_ms=1000.0, repeats=200, timeout_s=300.0)

if __name__ == "__main__":
    server, cache = sys.argv[1:]
    target = TargetConfig(board="same-cpu", server=server, kernel_cache=cache, tune_s=0.0)
    with RpcDevice(target, _MINUTES) as device:
        device.measure(digits_like())
