"""Modelled cores: which of LLVM's models stands for a board's core, and at which clock.

LLVM has no model of Cortex-A76 and A78 of their own: it gives them the A57's numbers. Neoverse N1
is a Cortex-A76 for servers, with the same pipelines.
"""

from dataclasses import dataclass

from hardware.board_presets import PRESETS, BoardName
from hardware.errors import TargetError
from hardware.target import TargetConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelledCore:
    """One of LLVM's models of cores."""

    mcpu: str
    """LLVM's name of the modelled core."""
    clock_mhz: int
    """Of the board, to write cycles as microseconds."""
    is_own: bool
    """Whether the model is of the board's own core, and not of one like it."""


_CORES: dict[BoardName, ModelledCore] = {
    "rpi4": ModelledCore(mcpu="cortex-a72", clock_mhz=1800, is_own=True),
    "rpi5": ModelledCore(mcpu="neoverse-n1", clock_mhz=2400, is_own=False),
    "jetson-orin": ModelledCore(mcpu="neoverse-n1", clock_mhz=2200, is_own=False),
}

MODELLED_BOARDS: tuple[BoardName, ...] = tuple(_CORES)
"""Boards whose cores LLVM has a model of."""


def modelled_core(config: TargetConfig) -> ModelledCore:
    """Return the model of the configured board's core.

    Raises:
        TargetError: no board is named, or there is no model of its core.
    """
    core = None if config.board == "none" else _CORES.get(config.board)
    if core is None:
        raise TargetError(
            f"target.board: expected one of {', '.join(_CORES)}, whose cores LLVM has a model of, "
            f"found {config.board}",
            "add --target.board rpi5",
        )
    return core


def core_title(board: BoardName) -> str:
    """Return the board and whose model stands for its core, for people."""
    core = _CORES[board]
    whose = "" if core.is_own else f" by LLVM's model of {core.mcpu}"
    return f"{PRESETS[board].title}{whose}"
