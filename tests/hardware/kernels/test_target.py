"""Resolving a configuration to instructions."""

import pytest

from hardware.errors import TargetError
from hardware.kernels.compiling.target import KernelTarget
from hardware.target import TargetConfig

X86 = "x86_64-linux-gnu"


def test_a_named_cpu_decides_the_family() -> None:
    haswell = KernelTarget.of(TargetConfig(mcpu="haswell"))
    assert haswell.family == "avx2"
    assert KernelTarget.of(TargetConfig(mcpu="haswell", family="generic")).family == "generic"
    assert KernelTarget.of(TargetConfig(mcpu="nehalem")).family == "generic"
    assert haswell.document()["mcpu"] == "haswell"
    assert str(haswell.tvm_target().attrs["mcpu"]) == "haswell"


@pytest.mark.parametrize(
    ("mcpu", "family"),
    [("cortex-a53", "neon"), ("cortex-a72", "neon"), ("cortex-a76", "arm-dot")],
)
def test_arm_cores_get_what_they_can_multiply_with(mcpu: str, family: str) -> None:
    assert KernelTarget.of(TargetConfig(mcpu=mcpu), "aarch64-linux-gnu").family == family


def test_a_core_with_dot_product_may_go_without() -> None:
    config = TargetConfig(mcpu="cortex-a76", family="neon")
    target = KernelTarget.of(config, "aarch64-linux-gnu")
    assert (target.family, target.mattr) == ("neon", ("-dotprod",))
    with pytest.raises(TargetError, match="arm-dot needs a CPU that has Arm's dot product, and"):
        KernelTarget.of(TargetConfig(mcpu="cortex-a72", family="arm-dot"), "aarch64-linux-gnu")


@pytest.mark.parametrize(
    ("mcpu", "family"),
    [
        ("haswell", "avx2"),
        ("znver3", "avx2"),
        ("skylake-avx512", "avx2"),
        ("alderlake", "avx-vnni"),
        ("sierraforest", "avx-vnni"),
        ("cascadelake", "avx512-vnni"),
        ("znver4", "avx512-vnni"),
        ("sapphirerapids", "amx"),
    ],
)
def test_x86_cores_get_the_widest_dot_product_they_have(mcpu: str, family: str) -> None:
    target = KernelTarget.of(TargetConfig(mcpu=mcpu), X86)
    assert target.family == family
    without = KernelTarget.of(TargetConfig(mcpu=mcpu, dot_product=False), X86)
    assert (without.family, without.mattr) == ("avx2", ("-avx512f", "-avxvnni"))


def test_arm_cores_may_go_without_dot_product_too() -> None:
    config = TargetConfig(mcpu="cortex-a76", dot_product=False)
    assert KernelTarget.of(config, "aarch64-linux-gnu").family == "neon"


def test_a_family_of_dot_products_contradicts_going_without() -> None:
    with pytest.raises(
        TargetError, match=r"target\.dot_product: false leaves out .* avx512-vnni is"
    ):
        TargetConfig(family="avx512-vnni", dot_product=False)


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(TargetError, match="avx2 needs a CPU that has AVX2, and nehalem has not"):
        KernelTarget.of(TargetConfig(mcpu="nehalem", family="avx2"))
    with pytest.raises(TargetError, match="avx512-vnni needs a CPU that has AVX-512 VNNI, and znv"):
        KernelTarget.of(TargetConfig(mcpu="znver3", family="avx512-vnni"))
    with pytest.raises(TargetError, match="avx-vnni needs a CPU that has AVX-VNNI, and cascade"):
        KernelTarget.of(TargetConfig(mcpu="cascadelake", family="avx-vnni"))
    with pytest.raises(TargetError, match=r"target\.mcpu: expected a CPU that LLVM knows"):
        KernelTarget.of(TargetConfig(mcpu="pentium-9"))
