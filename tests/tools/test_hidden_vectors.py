"""A child process that sees a narrower CPU; each test says in the child what it expects."""

import platform
import shutil
import sys
from pathlib import Path

import pytest

from experiments.errors import BenchError
from tools.hide_wide_vectors import hidden_vectors
from tools.hide_wide_vectors.hidden_vectors import check_hidden, how_hidden, run_hidden, shim_state

ROOT = Path(__file__).parents[2]
SEES_WIDER = 41

_START = """
import sys
from tools.hide_wide_vectors.hidden_vectors import check_hidden
"""

on_x86_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or shutil.which("cc") is None,
    reason="CPUID faulting is x86 Linux's, and the library needs a C compiler",
)


def _hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> int:
    (tmp_path / "child.py").write_text(_START + code)
    monkeypatch.chdir(tmp_path)  # where `python -m child` looks first
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return run_hidden("child", ["--flag", "value"])


def _replace_cpuid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide vectors as on a processor that cannot make cpuid fault."""
    monkeypatch.setattr(hidden_vectors, "_has_cpuid_faulting", lambda: False)


@on_x86_linux
@pytest.mark.parametrize("is_replaced", [False, True])
def test_libraries_in_the_child_see_avx2_and_nothing_wider(
    is_replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_replaced:
        _replace_cpuid(monkeypatch)
    elif not hidden_vectors._has_cpuid_faulting():
        pytest.skip("this processor or kernel has no CPUID faulting")
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


@on_x86_linux
def test_a_real_use_of_a_forbidden_instruction_still_kills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace_cpuid(monkeypatch)
    # hlt faults as clts does, and is nobody's cpuid.
    code = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes([0xF4, 0xC3]))
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
ctypes.CFUNCTYPE(None)(address)()
"""
    assert _hidden(tmp_path, monkeypatch, code) == -11


@on_x86_linux
def test_onnxruntime_runs_other_kernels_when_vectors_are_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its int8 saturates with AVX2, and is exact with VNNI: only the sum tells which was chosen."""
    _replace_cpuid(monkeypatch)
    code = f"""
check_hidden()
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
node = helper.make_node("MatMulInteger", ["a", "b"], ["y"])
inputs = [
    helper.make_tensor_value_info("a", TensorProto.UINT8, [1, 64]),
    helper.make_tensor_value_info("b", TensorProto.INT8, [64, 16]),
]
output = helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])
opsets = [helper.make_opsetid("", 17)]
graph = helper.make_graph([node], "one", inputs, [output])
model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
session = onnxruntime.InferenceSession(model.SerializeToString())
values = {{"a": np.full((1, 64), 255, np.uint8), "b": np.full((64, 16), 127, np.int8)}}
(sums,) = session.run(None, values)
sys.exit(0 if (sums < 255 * 127 * 64).all() else {SEES_WIDER})
"""
    assert _hidden(tmp_path, monkeypatch, code) == 0


def test_without_the_library_nothing_is_hidden() -> None:
    assert shim_state() is None
    assert not how_hidden()
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
