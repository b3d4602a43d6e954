"""Board presets, the target's keys for boards, and what links for them."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hardware.board_presets import PRESETS, BoardName
from hardware.errors import TargetError, ToolchainError
from hardware.kernels.compiling.target import KernelTarget
from hardware.target import TargetConfig
from hardware.worker.program.cross_link import find_cross_linker
from hardware.worker.rpc.address import address_of

FAMILIES: dict[BoardName, str] = {
    "rpi3": "neon",
    "rpi4": "neon",
    "rpi5": "arm-dot",
    "jetson-nano": "neon",
    "jetson-xavier": "neon",
    "jetson-orin": "arm-dot",
    "generic-aarch64": "neon",
}


@pytest.mark.parametrize("board", FAMILIES)
def test_a_preset_sets_target_and_family(board: BoardName) -> None:
    target = KernelTarget.of(TargetConfig(board=board))
    assert target.mtriple == "aarch64-linux-gnu"
    assert target.family == FAMILIES[board]
    assert not target.native


def test_the_same_cpu_is_this_machines() -> None:
    here = KernelTarget.of(TargetConfig(amx=False))
    assert KernelTarget.of(TargetConfig(board="same-cpu", amx=False)) == here
    assert KernelTarget.of(TargetConfig()).native


def test_every_preset_says_what_can_run_there() -> None:
    assert all("Python" in preset.systems for preset in PRESETS.values())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tracker": "pi:9190"}, "target.tracker: 'pi:9190' needs to know which board it is"),
        ({"board": "rpi4", "tracker": "pi"}, "target.tracker: expected HOST:PORT, found 'pi'"),
        ({"board": "rpi4", "server": "pi:99999"}, "target.server: expected a port from 1 to 65535"),
        ({"board": "rpi4", "server": "http://pi:90"}, "expected HOST:PORT, found 'http://pi:90'"),
        ({"board": "rpi4", "server": "pi:0"}, "expected a port from 1 to 65535, found 0"),
        ({"board": "rpi4", "server": "pi:x"}, "target.server: expected HOST:PORT, found 'pi:x'"),
        ({"board": "rpi4", "server": "pi:1", "key": "k"}, "target.server: expected either"),
        ({"board": "rpi4", "server": "pi:1", "boards": 2}, "target.boards: 2 boards need a tra"),
        ({"boards": 0}, "target.boards: expected at least 1, found 0"),
        ({"reconnect_s": 0.0}, "target.reconnect_s: expected at least 0.001, found 0.0"),
    ],
)
def test_half_of_a_board_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        TargetConfig(**given)  # type: ignore[arg-type]


def test_what_is_not_given_comes_from_tvms_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "KEY"):
        monkeypatch.delenv(f"TVM_TRACKER_{name}", raising=False)
    with pytest.raises(TargetError, match="TVM_TRACKER_HOST"):
        address_of(TargetConfig(board="rpi4"))
    monkeypatch.setenv("TVM_TRACKER_HOST", "desk")
    with pytest.raises(TargetError, match=r"target\.key.*TVM_TRACKER_KEY"):
        address_of(TargetConfig(board="rpi4"))
    monkeypatch.setenv("TVM_TRACKER_PORT", "9191")
    monkeypatch.setenv("TVM_TRACKER_KEY", "pi4")
    assert str(address_of(TargetConfig(board="rpi4"))) == "'pi4' of the tracker at desk:9191"
    given = TargetConfig(board="rpi4", tracker="lab:9190", key="other")
    assert str(address_of(given)) == "'other' of the tracker at lab:9190"
    direct = TargetConfig(board="rpi4", server="10.0.0.3:9090")
    assert str(address_of(direct)) == "the board at 10.0.0.3:9090"


def tools(folder: Path, *names: str) -> None:
    """Write commands that say how they were called."""
    for name in names:
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $@" >> {folder}/calls\n')
        script.chmod(0o755)


def test_binutils_come_first_then_a_compiler_then_ziglang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert find_cross_linker("riscv64-linux-gnu").name == "ziglang"
    tools(tmp_path, "riscv64-linux-gnu-g++")
    compiler = find_cross_linker("riscv64-linux-gnu")
    assert compiler.name == "riscv64-linux-gnu-g++"
    compiler("a.so", ["k.o", "b.s"])
    tools(tmp_path, "riscv64-linux-gnu-as", "riscv64-linux-gnu-ld")
    binutils = find_cross_linker("riscv64-linux-gnu")
    assert binutils.name == "binutils (riscv64-linux-gnu-ld)"
    binutils("a.so", ["k.o", "b.s"])
    calls = re.sub(r"\S+/bitalloc-link-[^/]+/", "", (tmp_path / "calls").read_text())
    assert calls.splitlines() == [
        "riscv64-linux-gnu-g++ -shared -fPIC -o a.so k.o b.s -lm",
        "riscv64-linux-gnu-as -o b.o b.s",
        "riscv64-linux-gnu-as -o empty.o empty.s",
        "riscv64-linux-gnu-ld -shared -soname libm.so.6 -o libm.so.6 empty.o",
        "riscv64-linux-gnu-ld -shared -o a.so k.o b.o --no-as-needed libm.so.6",
    ]


def test_without_any_linker_the_error_names_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolchainError) as caught:
        find_cross_linker("aarch64-linux-gnu")
    for name in ("aarch64-linux-gnu-ld", "aarch64-linux-gnu-g++", "ziglang"):
        assert name in caught.value.message
    assert "apt install binutils-aarch64-linux-gnu, or: pip install ziglang" in caught.value.hint


def test_a_linker_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = tmp_path / "aarch64-linux-gnu-g++"
    failing.write_text("#!/bin/sh\necho 'unknown relocation' >&2\nexit 4\n")
    failing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(RuntimeError, match="ended with 4: unknown relocation"):
        find_cross_linker("aarch64-linux-gnu")("a.so", ["k.o"])


def test_a_kernel_for_a_board_is_compiled_without_a_compiler_here(tmp_path: Path) -> None:
    script = f"""
from tvm.support import cc
cc.get_cc = lambda: None
from hardware.kernels.compiling.cache import KernelCache
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from hardware.worker.rpc.reference import reference_graph
from hardware.graph.borders import with_borders
bench = Workbench(TargetConfig(board="rpi4", kernel_cache={str(tmp_path)!r}), 1)
plans = bench._plan(with_borders(reference_graph())).plans
(file,) = bench._cache.objects(plans)
assert file.read_bytes()[:4] == b"\\x7fELF" and file.read_bytes()[18] == 183, "EM_AARCH64"
assert bench._cache.objects(plans) and bench._cache.counts.misses == 1
assert sorted(p.name for p in file.parent.iterdir()) == ["kernel.o", "key.json"]
"""
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, timeout=120)
