"""The board itself: it computes, it lacks what its CPU lacks, and it says why it cannot be made."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm.script import tirx as T

from tests.emulated_board import make
from tests.emulated_board.board import EmulatedBoard
from tests.emulated_board.errors import BoardProcessError, BoardUnavailable
from tests.emulated_board.make import board_folder, make_board
from tests.emulated_board.making.pins import wheel_requirements
from tests.emulated_board.process import Call


def _library(board: EmulatedBoard, folder: Path, function: Any, mcpu: str) -> Path:
    """Compile one function for a CPU, and link it."""
    options = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": mcpu, "mattr": ["+neon"]}
    compiled = tvm.tirx.build(tvm.IRModule({"f": function}), tvm.target.Target(options))
    compiled.write_to_file(str(folder / "f.o"), "o")
    board.link([folder / "f.o"], folder / "f.so")
    return folder / "f.so"


@T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
def _plus_index(a: T.handle, b: T.handle) -> None:
    T.func_attr({"global_symbol": "f", "tirx.noalias": True})
    A = T.match_buffer(a, (40,), "int32")
    B = T.match_buffer(b, (40,), "int32")
    for i in range(40):
        B[i] = A[i] + i


@T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
def _dot(a: T.handle, b: T.handle, c: T.handle) -> None:
    T.func_attr({"global_symbol": "f", "tirx.noalias": True})
    A = T.match_buffer(a, (16,), "int8")
    B = T.match_buffer(b, (16,), "int8")
    C = T.match_buffer(c, (4,), "int32")
    C[T.ramp(0, 1, 4)] = T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.sdot"),
        T.broadcast(T.int32(0), 4),
        A[T.ramp(0, 1, 16)],
        B[T.ramp(0, 1, 16)],
        dtype="int32x4",
    )


@pytest.mark.board
def test_two_calls_of_a_library_give_back_their_own_arguments(
    board: EmulatedBoard, tmp_path: Path
) -> None:
    library = _library(board, tmp_path, _plus_index, "cortex-a72")
    inputs = [np.full(40, value, np.int32) for value in (7, -9)]
    calls = [Call(symbol="f", arguments=(x, np.zeros(40, np.int32))) for x in inputs]
    with board.process("cortex-a72") as process:
        answers = process.call(library, calls)
    for given, (same, result) in zip(inputs, answers, strict=True):
        np.testing.assert_array_equal(same, given)
        np.testing.assert_array_equal(result, given + np.arange(40))


@pytest.mark.board
def test_a_core_without_dot_product_ends_with_sigill_and_one_with_it_computes(
    board: EmulatedBoard, tmp_path: Path
) -> None:
    library = _library(board, tmp_path, _dot, "cortex-a76")
    codes, weights = np.full(16, -128, np.int8), np.full(16, 127, np.int8)
    call = Call(symbol="f", arguments=(codes, weights, np.zeros(4, np.int32)))
    with board.process("cortex-a72") as process:
        for _ in range(2):  # what one call ended, the next one starts again
            with pytest.raises(BoardProcessError) as caught:
                process.call(library, [call])
            assert caught.value.returncode == -signal.SIGILL
    with board.process("cortex-a76") as process:
        (results,) = process.call(library, [call])
    np.testing.assert_array_equal(results[2], np.full(4, 4 * -128 * 127))


@pytest.mark.board
def test_what_a_function_refuses_is_said_and_the_process_goes_on(
    board: EmulatedBoard, tmp_path: Path
) -> None:
    library = _library(board, tmp_path, _plus_index, "cortex-a72")
    right, wrong = np.zeros(40, np.int32), np.zeros(39, np.int32)
    with board.process("cortex-a72") as process:
        with pytest.raises(BoardProcessError, match="on the board as cortex-a72: ValueError"):
            process.call(library, [Call(symbol="f", arguments=(wrong, right))])
        process.call(library, [Call(symbol="f", arguments=(right, right))])


@pytest.mark.board
def test_a_failing_process_says_what_it_wrote(board: EmulatedBoard) -> None:
    script = "import sys; sys.stderr.write('out of paper'); sys.exit(3)"
    with pytest.raises(BoardProcessError, match="ended with 3 as cortex-a53: out of paper"):
        board.run_python(["-c", script], cpu="cortex-a53")


@pytest.mark.board
def test_a_finished_board_is_used_again(
    board: EmulatedBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # It cannot be made again: neither apt-get nor dpkg is found.
    lines: list[str] = []
    assert make_board(lines.append) == board
    assert lines == [f"the board is in {board_folder()} already"]


def test_without_debians_tools_the_message_names_one_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BoardUnavailable, match="expected dpkg on this machine, found none"):
        make_board()
    assert [path.name for path in board_folder().parent.iterdir()] == ["lock"]


def test_without_a_mirror_the_message_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("BITALLOC_BOARD_APT_LINE", f"deb [trusted=yes] file:{tmp_path} ./")
    assert make.main() == 2
    message = capsys.readouterr().err
    assert "apt-get" in message
    assert "BITALLOC_BOARD_APT_LINE" in message


def test_every_wheel_is_pinned_to_one_version() -> None:
    assert all(requirement.count("==") == 1 for requirement in wheel_requirements())
