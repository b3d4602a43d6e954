"""The method that docs/extend/method.md shows runs by its name and takes its setting."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from types import ModuleType

import pytest
import yaml

from agents.methods import METHODS
from agents.search import Method
from tests.agents.search_contract import MakeProblem, ResumeContract

ROOT = Path(__file__).parents[2]
DONE, USER_MISTAKE = 0, 2
SMOKE = ["--config", str(ROOT / "experiments" / "configs" / "smoke.yaml")]
QUICK = ["--target.runner", "simulated", "--evaluations", "8", "--final.steps", "1", "--quiet"]


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.run", *SMOKE, *QUICK, "--method", "mine", *arguments],
        capture_output=True,
        text=True,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"},
    )


def shown() -> tuple[str, str]:
    """Return the file and the line of the page."""
    page = ROOT / "docs" / "extend" / "method.md"
    _, file, _, line, *_ = page.read_text().split("`agents/mine/mine.py`:", 1)[1].split("```")
    return file.removeprefix("python\n"), line.removeprefix("python")


class TestItsPromises(ResumeContract):
    """What tests/agents/test_methods.py checks of a method that is in the table."""

    @pytest.fixture
    def method(self, monkeypatch: pytest.MonkeyPatch) -> str:
        module = ModuleType("agents.mine.mine")
        monkeypatch.setitem(sys.modules, module.__name__, module)  # where dataclasses look
        exec(shown()[0], vars(module))
        monkeypatch.setitem(METHODS, "mine", Method(module.search, module.MineConfig))
        return "mine"

    @pytest.fixture
    def make(self, problems: MakeProblem) -> MakeProblem:
        return problems

    @pytest.fixture
    def budget(self) -> dict[str, float]:
        return {"share": 0.35}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the methods with the page's own among them: one folder, and one line."""
    file, line = shown()
    agents = copytree(ROOT / "agents", tmp_path / "agents")
    (agents / "mine").mkdir()
    (agents / "mine" / "mine.py").write_text(file)
    methods = agents / "methods.py"
    before = methods.read_text()
    after = before.replace("Method] = {", "Method] = {" + line)
    assert after != before
    methods.write_text(
        after.replace("\nfrom agents.ppo ", "\nfrom agents.mine import mine\nfrom agents.ppo ", 1)
    )
    return tmp_path


def test_it_runs_with_its_setting(tree: Path) -> None:
    done = run(tree, "--mine.draws", "2")
    assert done.returncode == DONE, done.stderr
    (file,) = {file.resolve() for file in (tree / "runs").glob("*/evaluations.jsonl")}
    folder = file.parent
    rows = [json.loads(row) for row in file.read_text().splitlines()]
    assert [row["proposer"] for row in rows].count("mine") >= 1
    assert (folder / "best_allocation.json").is_file()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["mine"] == {"draws": 2}


def test_a_wrong_value_is_refused_by_its_key(tree: Path) -> None:
    file = tree / "wrong.yaml"
    file.write_text("mine: {draws: 0}")
    key = "mine.draws: expected at least 1, found 0"
    for arguments in (["--mine.draws", "0"], ["--config", str(file)]):
        done = run(tree, *arguments)
        assert done.returncode == USER_MISTAKE, done.stderr
        assert done.stderr.startswith(f"error: {key}")
    wrong = run(tree, "--mine.drawss", "1")
    assert "unknown key mine.drawss" in wrong.stderr
    assert "did you mean mine.draws?" in wrong.stderr


def test_its_settings_are_in_the_help(tree: Path) -> None:
    done = run(tree, "--help", "mine")
    assert "--mine.draws INT" in done.stdout
    assert "Allocations that are drawn for each evaluation." in done.stdout
