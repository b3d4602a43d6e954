"""A table of truth of a small network: six allocations, really retrained, simulated times."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.settings.run_config import RunConfig
from experiments.tabulate.command import main
from experiments.terminal.exit_codes import DONE
from experiments.terminal.progress import LiveProgress
from experiments.truth.world import TruthWorld, open_world
from hardware.store import Store

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


@pytest.fixture(scope="module")
def world(tabulated: Path) -> Iterator[TruthWorld]:
    with (
        pytest.MonkeyPatch.context() as patch,
        Store(tabulated / "store.sqlite") as store,
        LiveProgress(quiet=True) as progress,
    ):
        patch.setenv("XDG_CACHE_HOME", str(tabulated / "cache"))
        yield open_world(tabulated / "digits.npz", RunConfig(), store, progress)
