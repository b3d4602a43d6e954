"""The board for the tests of this folder: made once, skipped with the reason where it cannot be."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulated_board.arm_bench import ArmBench
from tests.emulated_board.board import EmulatedBoard
from tests.emulated_board.errors import BoardUnavailable
from tests.emulated_board.make import make_board

REQUIRED = "BITALLOC_BOARD_REQUIRED"
"""Environment variable, not empty where a missing board is a failure: in continuous integration."""


@pytest.fixture(scope="session")
def board() -> EmulatedBoard:
    try:
        return make_board()
    except BoardUnavailable as error:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(f"no emulated board: {error}")


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Object files and libraries of a session."""
    return tmp_path_factory.mktemp("aarch64")


@pytest.fixture(
    scope="session",
    params=[("cortex-a72", "neon"), ("cortex-a76", "arm-dot"), ("cortex-a72", "generic")],
    ids=lambda param: param[1],
)
def bench(
    request: pytest.FixtureRequest, board: EmulatedBoard, build_folder: Path
) -> Iterator[ArmBench]:
    """Every Arm family on a core that has it, and the family for every target."""
    mcpu, family = request.param
    arm = ArmBench(board, build_folder, mcpu, family)
    with arm.process:
        yield arm


@pytest.fixture(scope="session")
def auto(board: EmulatedBoard, build_folder: Path) -> Iterator[ArmBench]:
    """The fastest family of a core without dot product."""
    arm = ArmBench(board, build_folder, "cortex-a72")
    with arm.process:
        yield arm
