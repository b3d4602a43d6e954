"""make_env: the decision process itself, in one line."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from bitalloc.configuring import configuration
from env.bit_allocation import BitAllocationEnv
from env.observation import ObservationVector
from experiments.record.run_folder import RunFolder
from experiments.settings.run_config import RunConfig
from experiments.stages.env_sensitivities import EnvSensitivities
from experiments.stages.event_log import EventLog
from experiments.stages.measured import measure_device
from experiments.stages.network_setup import set_up_network
from experiments.stages.places import Places
from experiments.stages.search import pose
from experiments.terminal.progress import LiveProgress
from hardware.open_device import open_device
from hardware.store import Store

_NO_LIMIT = 1_000_000
"""Evaluations: whoever steps the environment decides when to stop."""


class OwnedEnv(gym.Wrapper[ObservationVector, np.int64, ObservationVector, np.int64]):
    """A `BitAllocationEnv` with the device, store and folder behind it; `close` frees them."""

    def __init__(self, env: BitAllocationEnv, behind: ExitStack) -> None:
        """Keep what is freed with the environment."""
        super().__init__(env)
        self._behind = behind

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which actions are allowed now, bool `[widths]`, as sb3-contrib asks for it."""
        env = self.unwrapped
        assert isinstance(env, BitAllocationEnv)
        return env.action_masks()

    def close(self) -> None:
        """Free the device and everything else."""
        super().close()
        self._behind.close()


def make_env(
    network: Any = None,
    data: Any = "digits",
    *,
    device: Any = "simulated",
    budget: Any = None,
    **settings: Any,
) -> OwnedEnv:
    """Return the Gymnasium environment of a network on a device; `close` it.

    An episode decides the bits of every layer; its last step retrains, compiles and measures. The
    default is the digits task on a simulated device, whose latencies are a formula's and say so;
    `gymnasium.make("BitAlloc-v0")` is the same after `import bitalloc`.

    Args:
        network: As of `bitalloc.search`.
        data: As of `bitalloc.search`.
        device: As of `bitalloc.search`.
        budget: As of `bitalloc.search`.
        settings: As of `bitalloc.search`; `render_mode` (`ansi`) is the environment's.

    Raises:
        BitAllocError: something that the caller can cause or cure.
        HardwareLostError: the device is gone.
    """
    render_mode = settings.pop("render_mode", None)
    given = {"quiet": True, "evaluations": _NO_LIMIT, **settings}
    config = configuration(network, data, device, budget, **given)
    behind = ExitStack()
    try:
        env = _make(config, behind, render_mode)
    except BaseException:
        behind.close()
        raise
    return OwnedEnv(env, behind)


def from_registry(**settings: Any) -> gym.Env[ObservationVector, np.int64]:
    """Return what `gymnasium.make("BitAlloc-v0", ...)` makes.

    Args:
        settings: As of `make_env`; or `space`, `evaluator` and what else a `BitAllocationEnv` is
            made of.
    """
    return BitAllocationEnv(**settings) if "space" in settings else make_env(**settings)


def _make(config: RunConfig, behind: ExitStack, render_mode: str | None) -> BitAllocationEnv:
    path = Path(behind.enter_context(tempfile.TemporaryDirectory(prefix="bitalloc-env-")))
    store = behind.enter_context(
        Store(Path(config.store) if config.store else path / "store.sqlite")
    )
    device = open_device(config.device_target, config.protocol, config.energy, store)
    behind.callback(device.close)
    progress = behind.enter_context(LiveProgress(quiet=config.quiet))
    folder = RunFolder(path)
    events = behind.enter_context(EventLog(folder.events))
    places = Places(
        device=device,
        store=store,
        folder=folder,
        events=events,
        progress=progress,
        shared_progress=progress,
    )
    setup = set_up_network(config, progress, device)
    measured = measure_device(setup, device, store, progress)
    env = pose(setup, measured, places, EnvSensitivities(setup, places)).make_env()
    env.render_mode = render_mode
    return env
