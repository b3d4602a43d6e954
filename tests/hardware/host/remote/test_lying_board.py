"""A board whose clock lies: taken once more, then lost hardware; never a candidate's fault."""

import math
import os
from pathlib import Path

import pytest

from hardware.errors import UnbelievableError
from hardware.host.remote.device import RpcDevice
from hardware.target import TargetConfig
from tests.hardware.graphs import digits_like
from tests.hardware.host.remote.boards import _ROOT, Board
from tests.hardware.host.remote.conftest import PROTOCOL


def lying(folder: Path, lie: str, *, after: int = 0, calls: int = 10**6) -> Board:
    told = {"LIE": lie, "LIE_AFTER": str(after), "LIE_CALLS": str(calls)}
    return Board(
        folder,
        command=("-m", "tests.hardware.host.remote.lying_board"),
        environment={**os.environ, "PYTHONPATH": str(_ROOT), **told},
    )


def device_of(board: Board, kernel_folder: Path) -> RpcDevice:
    config = TargetConfig(
        board="same-cpu", server=board.server, kernel_cache=str(kernel_folder), tune_s=0.0
    )
    return RpcDevice(config, PROTOCOL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        ("negative", "expected times above 0 from board .*, found -"),
        ("zero", "expected times above 0 from board .*, found 0.0"),
        ("nan", "expected numbers and texts from .*, found NaN"),
        ("fast", "said that it computed for .* ms, and was waited for"),
        ("short", "expected 3 times from board"),
        ("text", "expected 3 times from board .*, found 'soon'"),
    ],
)
def test_a_clock_that_cannot_be_believed_is_lost_hardware(
    tmp_path: Path, kernel_folder: Path, lie: str, sentence: str
) -> None:
    with (
        lying(tmp_path, lie) as board,
        device_of(board, kernel_folder) as device,
        pytest.raises(UnbelievableError, match=sentence),
    ):
        device.measure(digits_like())


def test_one_slip_is_taken_once_more(tmp_path: Path, kernel_folder: Path) -> None:
    with (
        lying(tmp_path, "negative", after=4, calls=1) as board,
        device_of(board, kernel_folder) as device,
    ):
        measurement = device.measure(digits_like()).measurement
        assert measurement is not None
        assert all(0 < value < math.inf for value in measurement.values_ms)
