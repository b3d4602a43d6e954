"""Views: ways of running one network, each of which puts other prices on bits."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import get_args

from experiments.errors import BenchError
from hardware.errors import TargetError, ToolchainError
from hardware.kernels.compiling.target import KernelTarget
from hardware.modelled.cores import MODELLED_BOARDS
from hardware.modelled.llvm_tools import LlvmTools
from hardware.target import KernelFamily, TargetConfig

BYTES = "+bytes"
"""End of a view's name where 3x3 convolutions are transformed to bytes at most."""
_FAMILIES: tuple[KernelFamily, ...] = get_args(KernelFamily)
_DEFAULT_BOARDS = ("rpi4", "rpi5")
_FEWEST = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The kernels of one group on the configured device, or a board that is modelled."""

    name: str
    """As it is typed: a kernel family or a board, and what transforms go to."""
    target: TargetConfig
    modelled: bool
    """Whether LLVM's model of the board's core stands in for a clock."""

    @property
    def title(self) -> str:
        """Name over a column: what is modelled says so."""
        return f"{self.name} (modelled)" if self.modelled else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """Views, and what was left out."""

    views: tuple[View, ...]
    left_out: str = ""
    """A sentence that says what was left out, and what helps; empty for nothing."""


def choose_views(names: Sequence[str], target: TargetConfig) -> Chosen:
    """Return the views of these names; of no names, all that the configured device has.

    Those are its CPU's kernel families, the fastest of them transformed to bytes, and modelled
    boards where LLVM's tools are there.

    Args:
        names: Such as `avx2`, `avx512-vnni+bytes` or `rpi5`.
        target: The configured device, on which all is measured that is not modelled.

    Raises:
        BenchError: a name that is none, one that is there twice, or a single view.
        TargetError: the device's CPU does not have a family.
        ToolchainError: a modelled board was asked for, and LLVM's tools are missing.
    """
    left_out = ""
    if names:
        views = tuple(_view(name, target) for name in names)
        if any(view.modelled for view in views):
            LlvmTools.find()
    else:
        views = tuple(_of_device(target))
        try:
            LlvmTools.find()
            views += tuple(_view(name, target) for name in _DEFAULT_BOARDS)
        except ToolchainError as error:
            boards = " and ".join(_DEFAULT_BOARDS)
            left_out = f"{boards} are left out: {error.message} ({error.hint})"
    if len({view.name for view in views}) < max(_FEWEST, len(views)):
        found = " ".join(view.name for view in views) or "none"
        raise BenchError(f"--views: expected at least two different ones, found {found}", left_out)
    return Chosen(views=views, left_out=left_out)


def _of_device(target: TargetConfig) -> Iterator[View]:
    """Yield the kernel families of the device's CPU, and the fastest transformed to bytes."""
    fastest = KernelTarget.of(replace(target, family="auto")).family
    families: list[KernelFamily] = []
    for family in _FAMILIES:
        with suppress(TargetError):  # a family that the CPU or the configuration does not have
            if family != "generic":
                KernelTarget.of(replace(target, family=family))
                families.append(family)
    for family in reversed(families):
        yield _view(family, target)
    yield _view(fastest + BYTES, target)


def _view(name: str, target: TargetConfig) -> View:
    base = name.removesuffix(BYTES)
    if name != base:
        target = replace(target, transform="bytes")
    if base in MODELLED_BOARDS:
        board = TargetConfig(board=base, transform=target.transform)
        return View(name=name, target=board, modelled=True)
    for family in _FAMILIES:
        if base == family:
            own = replace(target, family=family)
            KernelTarget.of(own)  # refuses a family that the CPU does not have
            return View(name=name, target=own, modelled=False)
    known = ", ".join([*_FAMILIES, *MODELLED_BOARDS])
    raise BenchError(
        f"--views: expected some of {known}, found {name}",
        f"a name may end in {BYTES}, such as {_FAMILIES[0]}{BYTES}",
    )
