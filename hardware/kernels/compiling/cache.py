"""KernelCache: compiled kernels on disk, found by their whole key.

    $XDG_CACHE_HOME/bitalloc/kernels/
        k_1229b410e663638f31bd3c5e/     a digest of the key (`KernelPlan.symbol`)
            key.json                    the whole key, and the SHA-256 of each file
            kernel.o                    to link whole programs from
            kernel.so                   to load; not for another architecture
        .k_1229b410e663638f31bd3c5e-*/  one that is being made; renamed when it is complete
        .old-*/                         a broken one, moved aside and deleted
        k_1229b410e663638f31bd3c5e.wrong/    one that computed wrongly, for people to look at

A folder is used only where its key is equal and its files are what `key.json` says. Otherwise it
is made again.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

import tvm
from tvm.support import cc

from hardware.errors import BuildError, TargetError, ToolchainError
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.compiling.target import KernelTarget
from hardware.target import TargetConfig
from quant.records.disk import probe, remove_leftovers, what_helps
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

_OBJECT, _LIBRARY = "kernel.o", "kernel.so"

_LOADED: dict[tuple[Path, str], Any] = {}
"""Every library this process has loaded, by folder and key: none is ever unloaded, since programs
hold pointers into it."""

_NAMES: set[Path] = set()
"""What they were loaded by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheCounts:
    """What a cache did so far; kernels that were loaded before count nowhere."""

    hits: int = 0
    """Kernels found on disk."""
    misses: int = 0
    """Kernels that were compiled."""
    compile_s: float = 0.0
    """Seconds spent compiling them."""


class KernelCache:
    """Compiled kernels of one target. Several processes may share its folder."""

    def __init__(self, config: TargetConfig) -> None:
        """Open the folder that the configuration names; it is made with the first kernel."""
        self.folder = cache_folder(config.kernel_cache, "kernels")
        self.counts = CacheCounts()
        self._found: set[str] = set()  # documents of kernels that nobody compiled here
        self._target = KernelTarget.of(config)
        remove_leftovers(self.folder, ".k_*-*", ".old-*")

    def load(self, plans: Iterable[KernelPlan]) -> list[Any]:
        """Return the TVM runtime modules that hold the plans' symbols, each module once.

        Raises:
            BuildError: a kernel cannot be compiled.
            ToolchainError: a kernel must be compiled and there is no C++ compiler to link it.
        """
        return [self._load(plan) for plan in {plan.document: plan for plan in plans}.values()]

    def has(self, plan: KernelPlan) -> bool:
        """Return whether a plan's kernel is loaded, or undamaged on disk."""
        folder = self.folder / plan.symbol
        return (folder, plan.document) in _LOADED or _is_whole(folder, plan, self._target)

    def objects(self, plans: Iterable[KernelPlan]) -> list[Path]:
        """Return the object files of the plans' kernels, each once, in the order of the plans.

        Raises:
            BuildError: a kernel cannot be compiled.
            ToolchainError: a kernel must be compiled and there is no C++ compiler to link it.
        """
        unique = {plan.symbol: plan for plan in plans}
        for plan in unique.values():
            if (self.folder / plan.symbol, plan.document) not in _LOADED:
                self._make(plan)
        return [self.folder / symbol / _OBJECT for symbol in unique]

    def compile_again(self, plans: Iterable[KernelPlan]) -> list[str]:
        """Set aside the kernels that were found on the disk, and compile them again.

        For a program that computes wrongly: files can be what `key.json` says and still be wrong,
        as those of a compiler that was broken then.

        Returns:
            For each kernel that is another one now, where the wrong one lies; empty where all were
            compiled by this process, or come out as they were.

        Raises:
            BuildError: a kernel cannot be compiled.
            ToolchainError: a kernel must be compiled and there is no C++ compiler to link it.
        """
        others = []
        for plan in {plan.document: plan for plan in plans}.values():
            folder = self.folder / plan.symbol
            if plan.document not in self._found:
                continue
            self._found.remove(plan.document)
            _LOADED.pop((folder, plan.document), None)
            aside = folder.with_name(f"{plan.symbol}.wrong")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            self._compile(folder, plan)
            if _digest(folder / _OBJECT) == _digest(aside / _OBJECT):
                shutil.rmtree(aside, ignore_errors=True)
            else:
                others.append(str(aside))
        return others

    def _load(self, plan: KernelPlan) -> Any:
        folder = self.folder / plan.symbol
        loaded = (folder, plan.document)
        if loaded not in _LOADED:
            self._make(plan)
            _LOADED[loaded] = _load_library(folder / _LIBRARY)
        return _LOADED[loaded]

    def _make(self, plan: KernelPlan) -> None:
        """Compile a kernel that is not on the disk."""
        folder = self.folder / plan.symbol
        if _is_whole(folder, plan, self._target):
            self._found.add(plan.document)
            self.counts = replace(self.counts, hits=self.counts.hits + 1)
        else:
            self._compile(folder, plan)

    def _compile(self, folder: Path, plan: KernelPlan) -> None:
        started = time.perf_counter()
        compile_entry(folder, plan, self._target)
        self.counts = replace(
            self.counts,
            misses=self.counts.misses + 1,
            compile_s=self.counts.compile_s + time.perf_counter() - started,
        )


def cache_folder(named: str, kind: str) -> Path:
    """Return a named folder, or where none is `$XDG_CACHE_HOME/bitalloc/KIND`, or in `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(named or f"{home}/bitalloc/{kind}").expanduser().absolute()


def compile_entry(folder: Path, plan: KernelPlan, target: KernelTarget) -> None:
    """Compile one kernel into a folder of its own, in place of what is there.

    Raises:
        BuildError: the kernel cannot be compiled.
        TargetError: the folder cannot be written.
        ToolchainError: there is no C++ compiler to link it.
    """
    if target.native and cc.get_cc() is None:
        raise ToolchainError(
            "expected a C++ compiler to link kernels with, found none on PATH",
            "install g++ or clang, or set CXX",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # LLVM ends the process where the disk is full, and the linker only says that it failed.
        if (refused := probe(folder.parent)) is not None:
            raise refused
        made = Path(tempfile.mkdtemp(prefix=f".{plan.symbol}-", dir=folder.parent))
        try:
            _write_entry(made, plan, target)
            _publish(made, folder, plan, target)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise _cannot_write(folder.parent, error) from None


def _cannot_write(folder: Path, error: OSError) -> TargetError:
    return TargetError(
        f"cannot write the kernel cache {folder}: {error.strerror or error}",
        what_helps(error, "--target.kernel-cache FOLDER, or the variable XDG_CACHE_HOME"),
    )


def _load_library(library: Path) -> Any:
    if library not in _NAMES:
        _NAMES.add(library)
        return tvm.runtime.load_module(str(library))
    # The loader knows libraries by the name they were loaded by, whatever is there now.
    with tempfile.TemporaryDirectory(prefix="bitalloc-kernel-") as folder:
        return tvm.runtime.load_module(str(shutil.copy(library, folder)))


def _files(target: KernelTarget) -> tuple[str, ...]:
    """Return the files of an entry; a library is among them only where this machine can load it."""
    return (_OBJECT, _LIBRARY) if target.native else (_OBJECT,)


def _write_entry(folder: Path, plan: KernelPlan, target: KernelTarget) -> None:
    """Compile a kernel into an empty folder."""
    try:
        module = tvm.IRModule({plan.symbol: plan.build(plan.symbol)})
        tvm.tirx.build(module, target.tvm_target()).write_to_file(str(folder / _OBJECT), "o")
        if target.native:
            cc.create_shared(str(folder / _LIBRARY), str(folder / _OBJECT))
    except (RuntimeError, TypeError, ValueError) as error:
        raise BuildError(f"kernel {plan.document} does not compile: {error}") from error
    digests = {name: _digest(folder / name) for name in _files(target)}
    document = {"key": json.loads(plan.document), "sha256": digests}
    (folder / "key.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def _publish(made: Path, folder: Path, plan: KernelPlan, target: KernelTarget) -> None:
    """Give a complete folder its name, unless another process did the same meanwhile."""
    for _ in range(10):
        with suppress(OSError):
            made.rename(folder)
            return
        if _is_whole(folder, plan, target):
            return
        # What is there is broken or another key's. Libraries loaded from it stay valid.
        aside = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
        with suppress(OSError):
            folder.rename(aside / "entry")
        shutil.rmtree(aside, ignore_errors=True)
    raise BuildError(
        f"kernel folder {folder} cannot be replaced", f"delete it: rm -r {quote(str(folder))}"
    )


def _is_whole(folder: Path, plan: KernelPlan, target: KernelTarget) -> bool:
    """Return whether a folder holds this very kernel, undamaged."""
    try:
        document = parse_json(read_regular(folder / "key.json"))
        return bool(
            document["key"] == json.loads(plan.document)
            and document["sha256"] == {name: _digest(folder / name) for name in _files(target)}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _digest(file: Path) -> str:
    return hashlib.sha256(read_regular(file)).hexdigest()
