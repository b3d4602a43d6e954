"""The cache of compiled kernels: found, missed, damaged, mistaken, raced for."""

import json
import os
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardware.kernels
from hardware.errors import BuildError, TargetError, ToolchainError
from hardware.kernels.compiling import cache as cache_module
from hardware.kernels.compiling.cache import KernelCache, cache_folder
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.planning.context import source_digest
from hardware.target import TargetConfig
from quant.deploy_graph import Requantize
from quant.records.source_digest import digest_of_folder
from tests.hardware.kernels.single_op import Bench

OP = Requantize(input="x", output="y", multiplier=0.1, zero_point=0, clip_min=0, clip_max=255)


def _plan(size: int = 40) -> KernelPlan:
    """Return a small kernel; another size is another kernel."""
    plan = Bench("unused").plan(OP, [np.zeros((1, size), np.int16)], (1, size), "uint8")
    assert isinstance(plan, KernelPlan)
    return plan


def _open(folder: Path) -> KernelCache:
    return KernelCache(TargetConfig(kernel_cache=str(folder)))


def _reload(folder: Path, monkeypatch: pytest.MonkeyPatch) -> KernelCache:
    """Open the cache as a new process would: with nothing loaded."""
    monkeypatch.setattr(cache_module, "_LOADED", {})
    return _open(folder)


def _counts(cache: KernelCache) -> tuple[int, int]:
    return cache.counts.hits, cache.counts.misses


def test_a_kernel_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, cache = _plan(), _open(tmp_path)
    (module,) = cache.load([plan, plan])
    assert module.implements_function(plan.symbol)
    assert _counts(cache) == (0, 1)
    assert cache.counts.compile_s > 0
    cache.load([plan])  # loaded in this process: neither found on disk nor compiled
    assert _counts(cache) == (0, 1)
    again = _reload(tmp_path, monkeypatch)
    again.load([plan])
    assert _counts(again) == (1, 0)
    assert again.counts.compile_s == 0


def test_an_entry_holds_its_whole_key(tmp_path: Path) -> None:
    plan = _plan()
    _open(tmp_path).load([plan])
    (folder,) = tmp_path.iterdir()
    assert folder.name == plan.symbol
    assert sorted(file.name for file in folder.iterdir()) == ["kernel.o", "kernel.so", "key.json"]
    document = json.loads((folder / "key.json").read_text())
    assert document["key"] == json.loads(plan.document)
    assert document["key"]["target"]["mcpu"]
    assert document["key"]["target"]["tvm"]
    assert document["key"]["source"]


def _truncate(folder: Path) -> None:
    (folder / "kernel.so").write_bytes((folder / "kernel.so").read_bytes()[:-100])


def _flip(folder: Path) -> None:
    content = bytearray((folder / "kernel.so").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "kernel.so").write_bytes(content)


def _lose_object(folder: Path) -> None:
    (folder / "kernel.o").unlink()


def _break_key(folder: Path) -> None:
    (folder / "key.json").write_text('{"key": ')


def _change_key(folder: Path) -> None:
    """Make the entry another kernel's: the digest of two keys collided."""
    document = json.loads((folder / "key.json").read_text())
    document["key"]["code"]["shape"] = [1, 41]
    (folder / "key.json").write_text(json.dumps(document))


@pytest.mark.parametrize("damage", [_truncate, _flip, _lose_object, _break_key, _change_key])
def test_a_damaged_or_mistaken_entry_is_made_again(
    damage: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan()
    _open(tmp_path).load([plan])
    damage(tmp_path / plan.symbol)
    cache = _reload(tmp_path, monkeypatch)
    cache.load([plan])
    assert _counts(cache) == (0, 1)
    healed = _reload(tmp_path, monkeypatch)
    healed.load([plan])
    assert _counts(healed) == (1, 0)
    assert [entry.name for entry in tmp_path.iterdir()] == [plan.symbol]  # nothing left behind


def test_two_processes_may_compile_one_kernel_at_once(tmp_path: Path) -> None:
    plan, other = _plan(), _open(tmp_path)

    def build(symbol: str) -> Any:
        """Be overtaken: somebody else writes the entry while this process compiles it."""
        other._compile(tmp_path / symbol, plan)
        return plan.build(symbol)

    cache = _open(tmp_path)
    (module,) = cache.load([replace(plan, build=build)])
    assert module.implements_function(plan.symbol)
    assert [entry.name for entry in tmp_path.iterdir()] == [plan.symbol]


def test_without_a_compiler_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(tmp_path / "known").load([_plan()])
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CXX", "CC"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ToolchainError, match=r"expected a C\+\+ compiler .* \(install g\+\+"):
        _open(tmp_path / "empty").load([_plan()])
    known = _reload(tmp_path / "known", monkeypatch)
    known.load([_plan()])  # what was compiled before needs no compiler
    assert _counts(known) == (1, 0)


def test_a_kernel_that_does_not_compile_is_named(tmp_path: Path) -> None:
    def build(symbol: str) -> Any:
        raise ValueError("no such loop")

    with pytest.raises(BuildError, match=r'kernel .*"kernel":"requantize".*no such loop'):
        _open(tmp_path).load([replace(_plan(), build=build)])
    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_follows_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder("", "kernels") == Path("/somewhere/bitalloc/kernels")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("", "kernels") == Path.home() / ".cache/bitalloc/kernels"


def test_the_kernels_own_digest_is_that_of_their_folder() -> None:
    folder = Path(str(hardware.kernels.__file__)).parent
    assert (folder / "families").is_dir()
    assert source_digest() == digest_of_folder(folder)


def test_a_place_that_cannot_be_written_is_named_with_what_moves_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TargetError) as refused:
        _open(tmp_path / "file" / "kernels").load([_plan()])
    assert refused.value.message.startswith(f"cannot write the kernel cache {tmp_path}/file/")
    assert "--target.kernel-cache FOLDER, or the variable XDG_CACHE_HOME" in refused.value.hint


def test_a_full_disk_is_no_fault_of_a_kernel(tmp_path: Path) -> None:
    """The compiler would end the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(TargetError, match="cannot write the kernel cache"):
            _open(tmp_path).load([_plan(41)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_killed_processes_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = (tmp_path / f".k_0123-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "kernel.o").write_text("")
    os.utime(old, (0, 0))
    _open(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [new.name]
