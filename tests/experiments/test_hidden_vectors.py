"""A child process that sees a narrower CPU; each test says in the child what it expects."""

import platform
import shutil
import sys
from pathlib import Path

import pytest

from experiments import hidden_vectors
from experiments.errors import BenchError
from experiments.hidden_vectors import check_hidden, run_hidden, shim_state

CANNOT, SEES_WIDER = 40, 41

_START = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from experiments.hidden_vectors import check_hidden, shim_state
if shim_state() == -1:
    sys.exit({CANNOT})
"""

on_x86_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which("cc") is None,
    reason="CPUID faulting is x86 Linux's, and the library needs a C compiler",
)


def _hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> int:
    (tmp_path / "child.py").write_text(_START + code)
    monkeypatch.chdir(tmp_path)  # where `python -m child` looks first
    result = run_hidden("child", ["--flag", "value"])
    if result == CANNOT:
        pytest.skip("this processor or kernel has no CPUID faulting")
    return result


@on_x86_linux
def test_libraries_in_the_child_see_avx2_and_nothing_wider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
check_hidden()
import numpy as np
features = np._core._multiarray_umath.__cpu_features__
from tvm.target import codegen
codegen.llvm_get_system_cpu()  # TVM is loaded, with whatever handlers it installs
import torch  # asks cpuid again, on other threads too
import threading
seen = []
thread = threading.Thread(target=lambda: seen.append(codegen.llvm_get_system_cpu()))
thread.start(), thread.join()
wide = any(features[name] for name in features if name.startswith("AVX512"))
sys.exit({SEES_WIDER} if wide or not features["AVX2"] or not seen else sys.argv.index("value"))
"""
    assert _hidden(tmp_path, monkeypatch, code) == 2


@on_x86_linux
def test_a_real_segmentation_fault_still_kills_and_handlers_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import ctypes\nctypes.string_at(0)\n"
    assert _hidden(tmp_path, monkeypatch, code) == -11
    # A handler that a library installs is called for real faults, and cpuid stays hidden.
    code = """
import faulthandler
from pathlib import Path
faulthandler.enable(open("trace.txt", "w"))
check_hidden()
import ctypes
ctypes.string_at(0)
"""
    assert _hidden(tmp_path, monkeypatch, code) == -11
    assert "Segmentation fault" in (tmp_path / "trace.txt").read_text()


def test_without_the_library_nothing_is_hidden() -> None:
    assert shim_state() is None
    with pytest.raises(BenchError, match="expected Linux on an x86 processor"):
        check_hidden()


def test_a_missing_and_a_failing_compiler_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(BenchError, match="found no no-such-compiler"):
        run_hidden("child", [])
    broken = tmp_path / "broken.c"
    broken.write_text("this is not C\n")
    monkeypatch.setattr(hidden_vectors, "_SOURCE", broken)
    monkeypatch.delenv("CC")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    with pytest.raises(BenchError, match=r"broken.c cannot be compiled by cc"):
        run_hidden("child", [])
