"""Which layers get AMX, on which CPUs, and what is said where they do not."""

from dataclasses import replace

import pytest
from tvm.target import codegen

from hardware.errors import TargetError
from hardware.facts import AMX_USED
from hardware.kernels.compiling import target as target_module
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.amx import AMX
from hardware.kernels.planning.choose_family import choose_depthwise, choose_family
from hardware.kernels.planning.family_choices import family_choices
from hardware.kernels.planning.family_history import never_run
from hardware.kernels.planning.products import matrices_family
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig

X86 = "x86_64-linux-gnu"
CONV = Geometry(
    batch=1, height=14, width=14, channels=64, out_channels=64, kernel=(3, 3), padding=(1, 1)
)
DENSE = Geometry(batch=1, height=1, width=1, channels=512, out_channels=100)
SERVER = TargetConfig(mcpu="sapphirerapids")


def names(bits: int, geometry: Geometry) -> list[str]:
    return [family.name for family in family_choices("amx", bits, bits, geometry)]


def test_every_width_is_multiplied_alike() -> None:
    for bits in range(2, 9):
        for geometry in (
            CONV,
            replace(CONV, kernel=(1, 1), padding=(0, 0)),
            replace(DENSE, width=9),
        ):
            assert choose_family("amx", bits, bits, geometry) == AMX


def test_few_pixels_are_as_without_amx() -> None:
    for bits in range(2, 9):
        assert choose_family("amx", bits, bits, DENSE) == choose_family(
            "avx512-vnni", bits, bits, DENSE
        )
    assert choose_family("amx", 4, 4, DENSE).name == "avx512-vnni-p4"
    assert choose_depthwise("amx", 8, 8, 9, 64) == choose_depthwise("avx512-vnni", 8, 8, 9, 64)
    assert matrices_family("amx", (8, 7), rows=3).name == "avx512-vnni"


def test_products_of_two_tensors_are_multiplied_alike() -> None:
    for bits in range(2, 9):
        assert matrices_family("amx", (bits, bits), rows=4) == AMX


def test_the_tile_search_may_take_vnni() -> None:
    assert names(8, CONV) == ["amx", "avx512-vnni"]
    assert names(4, CONV)[:2] == ["amx", "avx512-vnni-winograd"]
    assert names(8, DENSE) == ["avx512-vnni"]


def test_a_server_core_gets_amx_unless_it_is_left_out() -> None:
    for mcpu in ("sapphirerapids", "graniterapids"):
        assert KernelTarget.of(replace(SERVER, mcpu=mcpu), X86).family == "amx"
    without = KernelTarget.of(replace(SERVER, amx=False), X86)
    assert (without.family, without.mattr) == ("avx512-vnni", ())
    assert KernelTarget.of(replace(SERVER, dot_product=False), X86).family == "avx2"
    assert KernelTarget.of(replace(SERVER, family="avx512-vnni"), X86).family == "avx512-vnni"


def test_a_cpu_without_amx_says_nothing_of_it() -> None:
    assert KernelTarget.of(TargetConfig(mcpu="znver4"), X86).amx == ""
    with pytest.raises(TargetError, match="amx needs a CPU that has AMX, and znver4 has not"):
        KernelTarget.of(TargetConfig(mcpu="znver4", family="amx"), X86)


def test_a_contradiction_is_refused() -> None:
    with pytest.raises(TargetError, match=r"target\.amx: false leaves out .* amx is made of"):
        TargetConfig(family="amx", amx=False)
    with pytest.raises(TargetError, match=r"target\.dot_product: false leaves out .* amx is"):
        TargetConfig(family="amx", dot_product=False)


def test_a_refusal_leaves_the_family_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codegen, "llvm_get_system_cpu", lambda: "sapphirerapids")
    monkeypatch.setattr(target_module, "why_no_amx", lambda: "Linux does not lend its registers")
    found = KernelTarget.of(TargetConfig(), X86)
    assert (found.family, found.amx) == ("avx512-vnni", "Linux does not lend its registers")
    with pytest.raises(TargetError, match="amx cannot be used here: Linux does not lend"):
        KernelTarget.of(TargetConfig(family="amx"), X86)
    monkeypatch.setattr(target_module, "why_no_amx", lambda: "")
    found = KernelTarget.of(TargetConfig(), X86)
    assert (found.family, found.amx) == ("amx", AMX_USED)


def test_it_has_never_been_timed() -> None:
    assert never_run(["amx", "avx512-vnni"]) == ("amx",)
