"""Resolving a configuration to instructions."""

import pytest

from hardware.errors import TargetError
from hardware.kernels.target import KernelTarget
from hardware.target import TargetConfig


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


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(TargetError, match="avx2 needs a CPU that has AVX2, and nehalem has not"):
        KernelTarget.of(TargetConfig(mcpu="nehalem", family="avx2"))
    with pytest.raises(TargetError, match=r"target\.mcpu: expected a CPU that LLVM knows"):
        KernelTarget.of(TargetConfig(mcpu="pentium-9"))
