"""Runs many bundles quickly: a process that has imported numpy and TVM forks for each of them.

Started as a script, and never imported; each line of its standard input is a JSON list: the run.py
to start, its arguments, and a folder. It answers with a JSON object: `code` (negative for a
signal), `stdout`, `stderr`, `executed` (what of that folder, by Python's audit hooks), and `hung`.
"""

import contextlib
import json
import os
import resource
import runpy
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import IO, Any

sys.modules["torch"] = None  # type: ignore[assignment]  # TVM would import it where it is installed

import numpy as np  # noqa: F401, E402
import tvm.runtime.vm  # noqa: F401, E402

LIMIT_S = 5.0
_MEMORY_BYTES = 8 * 2**30
_DEFECT = 99


def main() -> None:
    """Answer until the standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    for line in sys.stdin:
        script, arguments, folder = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with tempfile.TemporaryFile() as executed:
                status, hung = _run(script, arguments, folder, (out, err, executed))
                names = _text(executed).splitlines()
            document = {"code": status, "hung": hung, "executed": sorted(set(names))}
            document |= {"stdout": _text(out), "stderr": _text(err)}
        print(json.dumps(document), flush=True)


def _run(script: str, arguments: list[str], folder: str, files: tuple[IO[bytes], ...]) -> Any:
    child = os.fork()
    if not child:
        os._exit(_child(script, arguments, folder, [file.fileno() for file in files]))
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    _, status = os.waitpid(child, 0)
    left_s, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    return os.waitstatus_to_exitcode(status), left_s == 0.0


def _child(script: str, arguments: list[str], folder: str, files: list[int]) -> int:
    """Do what the interpreter does with a script; return the exit code."""
    out, err, executed = files
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if event == "exec" and given[0].co_filename.startswith(folder):
            os.write(executed, f"{os.path.relpath(given[0].co_filename, folder)}\n".encode())

    sys.addaudithook(watch)
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(script))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = _DEFECT
    else:
        code = 0
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    return code


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if Path(entry) != Path(__file__).parent]
    main()
