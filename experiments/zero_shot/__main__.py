"""python -m experiments.zero_shot FILE.onnx [SIZE ...]: the layers of a network as JSON.

For programs that do not want a stranger's file in their own process.
"""

import sys
from pathlib import Path

from experiments.terminal.exit_codes import DONE, run_command
from experiments.zero_shot.onnx_facts import facts_of_onnx
from quant.records.json_form import json_text


def _print(file: str, *sizes: str) -> int:
    print(json_text(facts_of_onnx(Path(file), tuple(map(int, sizes)))))
    return DONE


if __name__ == "__main__":
    sys.exit(run_command(lambda: _print(*sys.argv[1:])))
