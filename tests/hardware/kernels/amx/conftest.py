from pathlib import Path

import pytest

from tests.hardware.kernels.amx.amx_bench import AmxBench
from tests.hardware.kernels.amx.emulator import Emulator, has_amx


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator | None:
    """What executes AMX's instructions here; None where the machine does."""
    if has_amx():
        return None
    made = Emulator.make(tmp_path_factory.mktemp("amx"))
    if isinstance(made, str):
        pytest.skip(made)
    return made


@pytest.fixture(scope="session")
def only_emulator(emulator: Emulator | None) -> Emulator:
    """The emulator, for tests of it."""
    if emulator is None:
        pytest.skip("this machine has AMX")
    return emulator


@pytest.fixture(scope="session")
def amx(kernel_folder: Path, emulator: Emulator | None) -> AmxBench:
    """Runs every layer with AMX."""
    return AmxBench(kernel_folder, emulator)
