"""A host that goes away in the middle of a long timing: others have the board at once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hardware.host.remote.boards import Board, wait_for_a_timing

ENDED = "finish serving"
"""What a board writes when a session has ended."""


@pytest.mark.slow
def test_a_board_is_free_as_soon_as_its_host_is_gone(tmp_path: Path, kernel_folder: Path) -> None:
    module = "tests.hardware.host.remote.slow_host"
    with Board(tmp_path) as board:
        host = subprocess.Popen([sys.executable, "-m", module, board.server, str(kernel_folder)])
        try:
            wait_for_a_timing(board)
            assert host.poll() is None
        finally:
            ended = board.told().count(ENDED)
            host.kill()
            host.wait()
        gone = time.monotonic()
        board.wait_for(ENDED, ended + 1)
        assert time.monotonic() - gone < 10.0
        assert board.open_session() > 0
        board.close_session()
        assert board.process.poll() is None
        assert "the listener ended" not in board.told()
