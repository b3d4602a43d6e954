"""The method that docs/extend/method.md shows runs by its name and takes its setting."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DONE, USER_MISTAKE = 0, 2
SMOKE = ["--config", str(ROOT / "experiments" / "configs" / "smoke.yaml")]
QUICK = ["--target.runner", "simulated", "--evaluations", "5", "--final.steps", "1", "--quiet"]


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "experiments.run", *SMOKE, *QUICK, "--method", "mine", *arguments],
        capture_output=True,
        text=True,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{ROOT}"},
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the methods with the page's own among them: one folder, and one line."""
    page = ROOT / "docs" / "extend" / "method.md"
    shown = page.read_text().split("`agents/mine/mine.py`:", 1)[1]
    _, file, _, line, *_ = shown.split("```")
    agents = copytree(ROOT / "agents", tmp_path / "agents")
    (agents / "mine").mkdir()
    (agents / "mine" / "mine.py").write_text(file.removeprefix("python\n"))
    methods = agents / "methods.py"
    before = methods.read_text()
    after = before.replace("Method] = {", "Method] = {" + line.removeprefix("python"))
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
    assert [row["proposer"] for row in rows].count("mine") == 2
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
    assert "Random allocations that are evaluated." in done.stdout
