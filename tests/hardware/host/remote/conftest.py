"""A tracker and boards that are this very machine, over real sockets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware.host.remote.device import RpcDevice
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from tests.hardware.host.remote.boards import Board

PROTOCOL = ProtocolConfig(min_repeat_ms=0.5, repeats=5, timeout_s=60.0)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with Board(tmp_path_factory.mktemp("board")) as opened:
        yield opened


@pytest.fixture(scope="module")
def device(
    board: Board, kernel_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RpcDevice]:
    config = TargetConfig(
        board="same-cpu",
        server=board.server,
        kernel_cache=str(kernel_folder),
        tile_choices=str(tmp_path_factory.mktemp("tiles")),
        tune_s=5.0,
    )
    with RpcDevice(config, PROTOCOL) as opened:
        yield opened
