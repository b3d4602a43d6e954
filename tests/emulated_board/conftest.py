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


@pytest.fixture(scope="session", params=["cortex-a72", "cortex-a76"])
def auto(
    request: pytest.FixtureRequest, board: EmulatedBoard, build_folder: Path
) -> Iterator[ArmBench]:
    """The fastest family of a core without dot product, and of one with it."""
    bench = ArmBench(board, build_folder, request.param)
    with bench.process:
        yield bench


@pytest.fixture(scope="session")
def generic(board: EmulatedBoard, build_folder: Path) -> Iterator[ArmBench]:
    """The family for every target."""
    bench = ArmBench(board, build_folder, "cortex-a72", "generic")
    with bench.process:
        yield bench
