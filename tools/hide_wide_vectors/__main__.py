"""python -m tools.hide_wide_vectors -m MODULE ...: the module sees AVX2 and nothing wider."""

import os
import runpy
import sys
from collections.abc import Sequence

from experiments.bench.runtime.hidden import HIDDEN
from experiments.terminal.exit_codes import DONE, USER_MISTAKE, run_command
from tools.hide_wide_vectors.hidden_vectors import (
    check_hidden,
    how_hidden,
    run_hidden,
    shim_state,
)


def main(arguments: Sequence[str]) -> int:
    """Run a module with wide vectors hidden, first in a process of its own; return the exit code.

    The module finds in the environment how they are hidden.
    """
    if len(arguments) < 2 or arguments[0] != "-m":
        print("usage: python -m tools.hide_wide_vectors -m MODULE ...", file=sys.stderr)
        return USER_MISTAKE
    module, rest = arguments[1], arguments[2:]
    if shim_state() is None:
        code = DONE

        def relaunch() -> None:
            nonlocal code
            code = run_hidden(module, rest)

        return run_command(relaunch) or code
    if code := run_command(check_hidden):
        return code
    os.environ[HIDDEN] = how_hidden()
    sys.argv[1:] = rest
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
