"""A table of truth of a small network: six allocations, really retrained, simulated times."""

from pathlib import Path

import pytest

from experiments.tabulate.command import main
from experiments.terminal.exit_codes import DONE

FLAGS = (
    "--quiet",
    *("--task.name", "own", "--task.model", "examples.own_network:network"),
    *("--task.data", "examples.own_network:data", "--task.epochs", "1"),
    *("--env.layers", "0=2,8", "[36]=2,4,8 tied", "10=8/8"),
    *("--env.finetune.steps", "4", "--env.finetune.compensation-images", "0"),
    *("--env.finetune.batch-size", "16", "--env.finetune.held-back-images", "64"),
    *("--env.finetune.scale-images", "0", "--env.finetune.no-range-test", "--images", "100"),
    *("--target.runner", "simulated"),
)


@pytest.fixture(scope="session")
def tabulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of `rows.jsonl` with two seeds."""
    folder = tmp_path_factory.mktemp("tabulated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        rows = str(folder / "rows.jsonl")
        assert main([*FLAGS, "--rows", rows, "--seeds", "0", "1"]) == DONE
        assert main([*FLAGS, "--rows", rows, "--table", str(folder / "digits.npz")]) == DONE
    return folder
