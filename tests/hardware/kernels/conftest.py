from pathlib import Path

import pytest

from tests.hardware.kernels.single_op import Bench


@pytest.fixture(scope="session")
def auto(kernel_folder: Path) -> Bench:
    """The fastest family this machine has."""
    return Bench(kernel_folder)


@pytest.fixture(scope="session")
def generic(kernel_folder: Path) -> Bench:
    """The family for every target."""
    return Bench(kernel_folder, "generic")
