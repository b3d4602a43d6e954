"""Workflow and hooks call what is there, and nothing of somebody else's but forges' own actions."""

import os
import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_the_workflow_calls_what_is_there() -> None:
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert ".ci/run" in [step.get("run") for step in steps]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert {step["uses"].split("@")[0] for step in steps if "uses" in step} == {"actions/checkout"}
    assert (ROOT / "tools" / "lowest_versions.py").is_file()


def test_hooks_fetch_nothing() -> None:
    settings = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in settings["repos"]] == ["local"]
    hooks = settings["repos"][0]["hooks"]
    assert all(hook["entry"].startswith(".venv/bin/") for hook in hooks)
    assert all(hook["language"] == "system" for hook in hooks)


def test_issue_forms_have_what_forges_ask_for() -> None:
    forms = [
        path
        for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")
        if path.name != "config.yml"
    ]
    assert forms
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form), path.name
        asked = [part for part in form["body"] if part["type"] != "markdown"]
        assert all("label" in part["attributes"] for part in asked), path.name
        names = [part["id"] for part in asked]
        assert len(names) == len(set(names)), path.name


def test_a_version_is_the_same_wherever_it_has_to_stand() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", changes, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    newest = re.fullmatch(r"\[(.+)\] - \d{4}-\d\d-\d\d", headings[1])
    assert newest is not None
    assert project["version"] == cited == newest[1]
