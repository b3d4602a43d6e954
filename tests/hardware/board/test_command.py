"""The board's command: its warning, its exit codes, the packed file, the systemd unit."""

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardware.board import names
from hardware.board.command import main
from hardware.board.last_end import end_file, read_end, session_end, write_end
from tests.hardware.host.remote.boards import Board

ISOLATED = {"PATH": os.environ["PATH"], "TVM_USE_RUNTIME_LIB": "1"}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("packed") / "board.pyz"
    assert main(["--pack", str(file)]) == 0
    return file


@pytest.fixture(scope="module")
def board(packed: Path) -> Iterator[Board]:
    """One board for all tests; the last of them crashes its session."""
    with Board(packed.parent, command=[str(packed)], environment=ISOLATED) as opened:
        yield opened


def test_the_packed_file_imports_nothing_else_of_the_project(packed: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        modules = [
            name.removesuffix(".py").replace("/", ".")
            for name in archive.namelist()
            if name.startswith("hardware/") and not name.endswith(("__.py", "/"))
        ]
    assert "hardware.board.functions" in modules
    script = f"""
import sys, importlib
sys.path.insert(0, {str(packed)!r})
for name in {modules!r}:
    importlib.import_module(name)
ours = {{m for m in sys.modules if m.split(".")[0] in ("quant", "env", "agents", "experiments")}}
assert not ours, ours
ours = [module.__file__ for name, module in sys.modules.items() if name.startswith("hardware")]
assert all({str(packed)!r} in file for file in ours), ours
"""
    subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env=ISOLATED, check=True, timeout=60
    )


def test_a_packed_board_warns_listens_and_says_where(board: Board) -> None:
    told = board.told()
    assert "warning: TVM RPC has neither password nor encryption" in told
    assert f"listening on 127.0.0.1:{board.port}" in told


@pytest.mark.slow
def test_a_kept_board_listens_again_after_a_crash(packed: Path, tmp_path: Path) -> None:
    command = [str(packed), "--restart"]
    with Board(tmp_path, command=command, environment=ISOLATED) as board:
        first = board.open_session()
        os.kill(first, signal.SIGILL)
        board.wait_until_listening(2)
        assert board.open_session() != first
        assert board.process.poll() is None
        assert "keeper: the board ended with exit code 5" in board.told()


def test_a_port_in_use_is_one_sentence(board: Board) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "hardware.board", "--port", str(board.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert "error: cannot bind" in second.stderr
    assert "Traceback" not in second.stderr


def test_the_unit_runs_the_same_command_and_starts_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--host", "0.0.0.0", "--tracker", "10.0.0.2:9190", "--key", "pi 4"]
    assert main([*given, "--print-systemd-unit"]) == 0
    unit = capsys.readouterr().out
    arguments = "--host 0.0.0.0 --tracker 10.0.0.2:9190 --key 'pi 4'"
    assert f"ExecStart={sys.executable} -m hardware.board {arguments}\n" in unit
    assert "Restart=always" in unit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tracker", "10.0.0.2:9190"], "--tracker and --key belong together"),
        (["--tracker", "10.0.0.2", "--key", "a"], "expected HOST:PORT, found '10.0.0.2'"),
    ],
)
def test_half_an_address_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_only_what_tvm_says_of_a_session_is_taken_as_its_end(tmp_path: Path) -> None:
    assert session_end("Child process 12 exited unsuccessfully with error code -4") == {
        "pid": 12,
        "code": -4,
        "signal": "SIGILL",
    }
    assert session_end("[Errno 104] Connection reset by peer") is None
    file = tmp_path / "end.json"
    assert read_end(file) == {}
    write_end(file, {"pid": 1})
    assert read_end(file) == {"pid": 1}
    file.write_text("[1")
    assert read_end(file) == {}
    assert end_file("a") != end_file("b")


def test_a_crashed_session_ends_the_board_with_its_own_code_and_is_remembered(
    board: Board,
) -> None:
    pid = board.open_session()
    os.kill(pid, signal.SIGSEGV)
    assert board.process.wait(timeout=20) == names.LISTENER_DIED
    assert f"Child process {pid}" in board.told()
    end = read_end(board.end_file)
    assert end == {"pid": pid, "code": -signal.SIGSEGV, "signal": "SIGSEGV"}
