"""The doctor: checks a board from end to end, in the order in which things can go wrong."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np

from experiments.terminal.typed import typed_sibling
from hardware.board_presets import PRESETS
from hardware.errors import (
    BoardBusyError,
    BuildError,
    HardwareLostError,
    TargetError,
    ToolchainError,
)
from hardware.facts import Connected, MachineFacts
from hardware.host.remote.cooling import held_back
from hardware.host.worker_client import WorkerClient, WorkerLostError
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from hardware.worker.rpc.address import address_of

_LIMIT_S = 120.0
"""For one step; the first kernels are compiled in it."""
_BITS = (8, 7, 6, 4, 3, 2)
_READINGS = 20
_PAUSE_S = 0.1
_SPREAD = 0.05
"""IQR over median of the reference kernel's times from which a clock is called unstable."""
_PACKAGES = {"tvm": "apache-tvm", "tvm_ffi": "apache-tvm-ffi"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and what helps where it is not good."""

    name: str
    outcome: Literal["good", "warning", "bad"]
    found: str
    cure: str = ""
    lost: bool = False
    """Whether the board cannot be reached, so that nothing further can be looked at."""


def _good(name: str, found: str) -> Check:
    return Check(name=name, outcome="good", found=found)


def _warning(name: str, found: str, cure: str) -> Check:
    return Check(name=name, outcome="warning", found=found, cure=cure)


def _bad(name: str, found: str, cure: str, *, lost: bool = False) -> Check:
    return Check(name=name, outcome="bad", found=found, cure=cure, lost=lost)


def examine(
    config: TargetConfig,
    protocol: ProtocolConfig,
    *,
    sleep: Callable[[float], None] = time.sleep,
    worker: WorkerClient | None = None,
) -> Iterator[Check]:
    """Yield one check after another; end after the first without which the rest means nothing.

    Args:
        config: Names the board and how to reach it.
        protocol: Gives the batch.
        sleep: Waits, for tests.
        worker: Reaches the board, for tests.
    """
    try:
        address = address_of(config)
    except TargetError as error:
        yield _bad("address", error.message, error.hint)
        return
    assert config.board != "none"
    preset = PRESETS[config.board]
    yield _good("address", f"{address}, as {preset.title}")
    worker = worker or WorkerClient(config, protocol.batch)
    try:
        link = _check_link(worker)
        yield link
        if link.outcome == "bad":
            return
        try:
            connected: Connected = worker.call("connect", 2 * _LIMIT_S, limit_s=_LIMIT_S)
        except (HardwareLostError, WorkerLostError, BuildError) as error:
            yield _unreachable(error, config)
            return
        board = connected["facts"]
        emulated = f", emulated by {board['emulated']}" if board["emulated"] else ""
        where = f"{board.get('hostname')}: {board['model']}, {board.get('system')}{emulated}"
        yield _good("reachable", where)
        yield _check_versions(board)
        results = _check_results(worker)
        yield results
        if results.outcome == "bad":
            return
        yield from _check_clock(worker, board, sleep)
        yield _check_meter(board)
    finally:
        worker.close()


def _check_link(worker: WorkerClient) -> Check:
    name = "cross-link"
    try:
        worker.ensure_started()
        size = worker.call("check_link", limit_s=_LIMIT_S)
    except ToolchainError as error:
        return _bad(name, error.message, error.hint)
    except (HardwareLostError, WorkerLostError, BuildError) as error:
        return _bad(
            name, str(error), "the linker that was found does not work: install another, or ziglang"
        )
    return _good(name, f"{worker.facts['linker']}, a library of {size} bytes")


def _unreachable(error: Exception, config: TargetConfig) -> Check:
    assert config.board != "none"
    hint = getattr(error, "hint", "")
    if isinstance(error, BoardBusyError):
        hint = hint or f"wait, or find out who uses it: {typed_sibling('boards')}"
    start = "start it on the board: python3 board.pyz --host 0.0.0.0"
    if not config.server:
        start += " --tracker HOST:PORT --key KEY, with this machine's address and not 127.0.0.1"
    systems = PRESETS[config.board].systems
    return _bad(
        "reachable",
        str(getattr(error, "message", error)),
        hint or f"{start}; look at cable and firewall; the board needs: {systems}",
        lost=True,
    )


def _check_versions(board: MachineFacts) -> Check:
    pairs = {name: (board.get(name), version(package)) for name, package in _PACKAGES.items()}
    different = [
        f"{_PACKAGES[name]} {there} there and {here} here"
        for name, (there, here) in pairs.items()
        if there != here
    ]
    if different:
        wanted = " ".join(f"{package}=={version(package)}" for package in _PACKAGES.values())
        return _bad(
            "versions", ", ".join(different), f"on the board: python3 -m pip install {wanted}"
        )
    found = ", ".join(f"{_PACKAGES[name]} {here}" for name, (_, here) in pairs.items())
    return _good("versions", f"{found}; Python {board['python']} on the board")


def _check_results(worker: WorkerClient) -> Check:
    families: dict[int, str] = {}
    for bits in _BITS:
        try:
            if not families:
                worker.call("check_reference", limit_s=_LIMIT_S)
            families[bits] = worker.call("check_bits", bits, limit_s=_LIMIT_S)
        except (BuildError, HardwareLostError, WorkerLostError) as error:
            return _bad(
                "exact result",
                f"at {bits} bits: {error}",
                "is it the board that the preset names? --target.family generic runs anywhere",
            )
    found = ", ".join(f"{bits} bits {family}" for bits, family in families.items())
    return _good("exact result", f"equal to the bit at {found}")


def _check_clock(
    worker: WorkerClient, board: MachineFacts, sleep: Callable[[float], None]
) -> Iterator[Check]:
    values_us, moments = [], []
    try:
        for _ in range(_READINGS):
            values_us.append(worker.call("ruler_us", limit_s=_LIMIT_S))
            moments.append(worker.call("moment", limit_s=_LIMIT_S))
            sleep(_PAUSE_S)
    except (HardwareLostError, WorkerLostError) as error:
        yield _bad(
            "clock",
            f"the board was lost while it was timed: {error}",
            "look at its power supply and its network",
            lost=True,
        )
        return
    reasons = sorted({reason for m in moments for reason in held_back(m, board.get("limit_mhz"))})
    if reasons:
        yield _bad(
            "clock",
            ", ".join(reasons),
            "cool the board, and give it the power supply that it asks for",
        )
    elif "throttled" not in moments[-1] and not board["emulated"]:
        yield _warning(
            "clock",
            "the board does not tell whether it is throttled",
            "watch its temperature; where it has vcgencmd, let this user run it",
        )
    governor = moments[-1].get("governor")
    if governor not in (None, "performance"):
        yield _warning(
            "governor",
            f"{governor}: the clock follows the load",
            "on the board: echo performance | sudo tee "
            "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    low, median, high = np.percentile(values_us, (25, 50, 75))
    spread = float((high - low) / median)
    seen = f"the reference kernel takes {median:.1f} us, IQR {spread:.1%}"
    heat = moments[-1].get("hottest_c")
    if heat is not None:
        seen += f", at {heat:g} C"
    if board["emulated"]:
        yield _warning(
            "times",
            f"emulated by {board['emulated']}: {seen}, which says nothing about any core",
            "use it to try things out, never to rank allocations",
        )
    elif spread > _SPREAD:
        yield _warning("times", seen, "stop what else runs on the board, such as a desktop")
    else:
        yield _good("times", seen)


def _check_meter(board: MachineFacts) -> Check:
    meters: Mapping[str, str] = board.get("meters", {})
    present = [name for name, why_not in meters.items() if not why_not]
    if present:
        return _good("meter", ", ".join(present))
    reasons = "; ".join(f"{name}: {why_not}" for name, why_not in meters.items())
    return _warning(
        "meter",
        f"none of its own ({reasons})",
        "time is measured without; energy needs an external meter",
    )
