from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def kernel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of compiled kernels for all tests of a session."""
    return tmp_path_factory.mktemp("kernels")
