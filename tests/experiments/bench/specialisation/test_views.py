"""Views: what a machine has is found, what is missing is said, what is wrong is one sentence."""

from pathlib import Path

import pytest

from experiments.bench.command import main
from experiments.bench.specialisation.views import choose_views
from experiments.errors import BenchError
from experiments.terminal.exit_codes import USER_MISTAKE
from hardware.errors import TargetError, ToolchainError
from hardware.kernels.compiling.target import KernelTarget
from hardware.modelled.llvm_tools import LlvmTools
from hardware.target import DOT_PRODUCT, TargetConfig


def test_all_that_this_machine_has_is_the_default() -> None:
    best = KernelTarget.of(TargetConfig()).family
    found = choose_views((), TargetConfig())
    names = [view.name for view in found.views]
    assert {best, f"{best}+bytes"} <= set(names)
    assert "generic" not in names
    by_name = {view.name: view for view in found.views}
    assert by_name[best].target == TargetConfig(family=best)
    assert by_name[f"{best}+bytes"].target == TargetConfig(family=best, transform="bytes")
    assert bool(found.left_out) == ("rpi5" not in names)


def test_without_the_tools_modelled_boards_are_left_out_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = choose_views((), TargetConfig())
    assert not any(view.modelled for view in found.views)
    assert found.left_out.startswith("rpi4 and rpi5 are left out: ")
    assert "sudo apt-get install llvm-" in found.left_out
    with pytest.raises(ToolchainError, match="llvm-mca"):  # asked for by name
        choose_views(("avx2", "rpi5"), TargetConfig())


def test_with_the_tools_two_boards_are_modelled(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = LlvmTools(version=0, opt="", llc="", mca="")
    monkeypatch.setattr(LlvmTools, "find", lambda: tools)
    here = TargetConfig(threads=2, transform="none")
    found = {view.name: view for view in choose_views((), here).views if view.modelled}
    assert found.keys() == {"rpi4", "rpi5"}
    assert found["rpi5"].title == "rpi5 (modelled)"
    assert found["rpi5"].target == TargetConfig(board="rpi5", transform="none")
    (view, _) = choose_views(("jetson-orin+bytes", "rpi4"), here).views
    assert view.target == TargetConfig(board="jetson-orin", transform="bytes")


def test_families_of_dot_product_are_left_out_without_it() -> None:
    found = choose_views((), TargetConfig(dot_product=False))
    assert not {view.target.family for view in found.views} & set(DOT_PRODUCT)


def test_a_family_that_the_cpu_does_not_have_is_refused() -> None:
    with pytest.raises(TargetError, match="neon needs a CPU that has NEON"):
        choose_views(("generic", "neon"), TargetConfig(mcpu="x86-64"))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("generic", "avx3"), "--views: expected some of amx, avx512-vnni, .*, found avx3"),
        (("generic",), "--views: expected at least two different ones, found generic"),
        (("generic", "generic"), "--views: expected at least two .*, found generic generic"),
    ],
)
def test_wrong_views_are_one_sentence(names: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(BenchError, match=sentence):
        choose_views(names, TargetConfig())


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--views", "generic"], "--views: expected at least two"),
        (["--share", "1.5"], "--share: expected"),
        (["--retrain", "-1"], "--retrain: expected"),
        (["--json", "nowhere/s.json"], "cannot write nowhere/s.json"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_trained(
    flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["specialisation", "--quiet", *flags]) == USER_MISTAKE
    assert f"error: {sentence}" in capsys.readouterr().err
