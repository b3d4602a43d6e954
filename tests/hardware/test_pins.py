"""Versions that are pinned for a reason: a test that fails where the reason still holds."""

import subprocess
import sys
from pathlib import Path

# Under apache-tvm-ffi 0.1.15 to 0.1.15.post2 both Schedule.tensorize and tvm.ir.save_json end the
# process, hence another process. No kernel is tensorized, but `hardware.kernels.planning.islands`
# keeps the functions of float islands as JSON: with a newer version, test_islands.py must pass too.
TENSORIZE = """
import tvm
from tvm import te
from tvm.script import tirx as T
from tvm.s_tir import TensorIntrin


@T.prim_func(s_tir=True)
def description(a: T.handle, b: T.handle) -> None:
    A = T.match_buffer(a, (4,), "int32", offset_factor=1)
    B = T.match_buffer(b, (4,), "int32", offset_factor=1)
    with T.sblock("root"):
        T.reads(A[0:4])
        T.writes(B[0:4])
        for i in range(4):
            with T.sblock("copy"):
                vi = T.axis.remap("S", [i])
                B[vi] = A[vi] + 1


@T.prim_func(s_tir=True)
def implementation(a: T.handle, b: T.handle) -> None:
    A = T.match_buffer(a, (4,), "int32", offset_factor=1)
    B = T.match_buffer(b, (4,), "int32", offset_factor=1)
    with T.sblock("root"):
        T.reads(A[0:4])
        T.writes(B[0:4])
        B[T.ramp(0, 1, 4)] = A[T.ramp(0, 1, 4)] + T.broadcast(1, 4)


TensorIntrin.register("add_one_to_four", description, implementation)
x = te.placeholder((16,), "int32", name="x")
y = te.compute((16,), lambda i: x[i] + 1, name="y")
schedule = tvm.s_tir.Schedule(te.create_prim_func([x, y]))
(i,) = schedule.get_loops(schedule.get_sblock("y"))
_, inner = schedule.split(i, [None, 4])
schedule.tensorize(inner, "add_one_to_four")
print("tensorized")
"""


def test_tensorize_does_not_end_the_process(tmp_path: Path) -> None:
    # TVMScript reads the source of what it parses, so the code must be a file.
    file = tmp_path / "tensorize.py"
    file.write_text(TENSORIZE)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    assert done.stdout.strip() == "tensorized"
