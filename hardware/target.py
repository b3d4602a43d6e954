"""TargetConfig: which device, and what TVM is told about it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from hardware.board_presets import PRESETS, BoardName
from hardware.errors import TargetError
from quant.records.ranges import Count, Seconds, at_least, check_ranges

KernelFamily = Literal["amx", "avx512-vnni", "avx-vnni", "avx2", "arm-dot", "neon", "generic"]
"""Names of the groups of kernels: by the instructions that multiply."""

Transform = Literal["words", "bytes", "none"]
"""The widest codes that 3x3 convolutions may be transformed to (Winograd)."""

DOT_PRODUCT: tuple[KernelFamily, ...] = ("amx", "avx512-vnni", "avx-vnni", "arm-dot")
"""Those made of dot-product instructions. Lower widths gain there only in transformed 3x3
convolutions, and where a layer waits for memory."""


_LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetConfig:
    """The device that measures, and the kernels it gets."""

    runner: Literal["local", "simulated"] = "local"
    """`local`: this machine, or the board that `board` names, through TVM. `simulated`: a formula
    for tests, labelled as such."""
    board: Literal["none"] | BoardName = "none"
    """Kind of board that is measured over TVM RPC; `none` measures on this machine."""
    tracker: str = ""
    """HOST:PORT of the RPC tracker that knows the board; empty means `$TVM_TRACKER_HOST` and
    `$TVM_TRACKER_PORT`."""
    key: str = ""
    """What the tracker calls the board; empty means `$TVM_TRACKER_KEY`."""
    server: str = ""
    """HOST:PORT of the board itself, instead of a tracker."""
    boards: Count = 1
    """Boards of the key that may be used at once; needs a tracker."""
    reconnect_s: Seconds = 120.0
    """How long a board that does not answer is tried again before the run saves and stops."""
    busy_s: Seconds = 1800.0
    """How long to wait for a board that somebody else uses."""
    mcpu: str = ""
    """LLVM CPU name; empty means this machine's own."""
    family: Literal["auto"] | KernelFamily = "auto"
    """Kernel family; `auto` takes the fastest that the CPU's features allow."""
    dot_product: bool = True
    """Use dot-product instructions where the CPU has them. Most widths cost the same with them; 3x3
    convolutions of up to 4-bit weights and 6-bit codes are transformed, and faster."""
    amx: bool = True
    """Use AMX where the CPU has it and Linux lends its registers. All widths cost the same with it,
    in every layer but depthwise ones and those of few pixels."""
    transform: Transform = "words"
    """Widest codes that 3x3 convolutions may be transformed to (Winograd), where it is faster: with
    `words`, 5 to 8 bits take the same time there; with `bytes`, up to 4-bit weights and 6-bit codes
    are transformed, and lower bits are faster than higher ones; `none` transforms nothing."""
    kernel_cache: str = ""
    """Folder of compiled kernels; empty means `$XDG_CACHE_HOME/bitalloc/kernels`."""
    tile_choices: str = ""
    """Folder of what the tile search chose; empty means `$XDG_CACHE_HOME/bitalloc/tiles`."""
    tune_s: Annotated[float, at_least(0)] = 180.0
    """Longest tile search for one network, in seconds. 0: no search, and no choice of an earlier
    one, so that every layer gets the default tile."""
    threads: Count = 1
    """Threads of TVM's pool that share the work of a network."""

    def __post_init__(self) -> None:
        """Refuse thread counts that cannot be had, and settings that contradict each other."""
        check_ranges(self, "target.", TargetError)
        self._check_board()
        if self.family == "amx" and not self.amx:
            raise TargetError(
                "target.amx: false leaves out the instructions that target.family: amx is made of",
                "use target.family=auto",
            )
        if self.family in DOT_PRODUCT and not self.dot_product:
            raise TargetError(
                f"target.dot_product: false leaves out the instructions that target.family: "
                f"{self.family} is made of",
                "use target.family=auto",
            )

    @property
    def place(self) -> str:
        """Where programs run, for names of folders: the runner, or the board."""
        return self.board if self.remote else self.runner

    @property
    def remote(self) -> bool:
        """Whether programs run on a board."""
        return self.runner == "local" and self.board != "none"

    def _check_board(self) -> None:
        """Refuse half of an address, and an address without a board."""
        if self.board == "none":
            for name in ("tracker", "key", "server"):
                if value := getattr(self, name):
                    raise TargetError(
                        f"target.{name}: {value!r} needs to know which board it is, found "
                        "target.board=none",
                        f"add --target.board with one of {', '.join(PRESETS)}",
                    )
        if self.server and (self.tracker or self.key):
            raise TargetError(
                "target.server: expected either a board's own address or a tracker with a key, "
                "found both"
            )
        if self.server and self.boards > 1:
            raise TargetError(
                f"target.boards: {self.boards} boards need a tracker, found target.server"
            )
        for name in ("tracker", "server"):
            if value := getattr(self, name):
                host_and_port(value, f"target.{name}: ")


def host_and_port(text: str, where: str = "") -> tuple[str, int]:
    """Return the two parts of HOST:PORT.

    Args:
        text: Both.
        where: What a refusal begins with.

    Raises:
        TargetError: it is something else.
    """
    host, _, port = text.rpartition(":")
    if not host or "/" in text or not port.isdecimal():
        raise TargetError(f"{where}expected HOST:PORT, found {text!r}", "such as 192.168.0.7:9090")
    if not 1 <= int(port) <= _LAST_PORT:
        raise TargetError(f"{where}expected a port from 1 to {_LAST_PORT}, found {port}")
    return host, int(port)
