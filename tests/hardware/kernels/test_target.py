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


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(TargetError, match="avx2 needs a CPU that has AVX2, and nehalem has not"):
        KernelTarget.of(TargetConfig(mcpu="nehalem", family="avx2"))
    with pytest.raises(TargetError, match=r"target\.mcpu: expected a CPU that LLVM knows"):
        KernelTarget.of(TargetConfig(mcpu="pentium-9"))
