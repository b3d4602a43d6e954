from pathlib import Path

import pytest

from hardware.errors import TargetError
from tests.hardware.kernels.single_op import Bench


@pytest.fixture(scope="session")
def auto(kernel_folder: Path) -> Bench:
    """The fastest family this machine has."""
    return Bench(kernel_folder)


@pytest.fixture(scope="session", params=["avx512-vnni", "avx-vnni", "avx2", "generic"])
def bench(request: pytest.FixtureRequest, kernel_folder: Path) -> Bench:
    """Every family that this machine can run, one after another."""
    try:
        return Bench(kernel_folder, request.param)
    except TargetError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def avx2(kernel_folder: Path) -> Bench:
    """The AVX2 family."""
    try:
        return Bench(kernel_folder, "avx2")
    except TargetError as error:
        pytest.skip(str(error))
