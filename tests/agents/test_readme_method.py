"""The method that the README shows a newcomer is a method: it runs, and keeps the budget."""

from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_own_method_runs(problems: Any) -> None:
    shown = README.read_text().split("`agents/mine.py`:", 1)[1].split("```")[1]
    names: dict[str, Any] = {}
    exec(shown.removeprefix("python"), names)
    problem = problems(limit=6, share=0.35)
    result = names["search"](problem, seed=0)
    assert [e.proposer for e in problem.evaluator.evaluations].count("mine") >= 1
    assert result.candidates
    assert '"mine": mine.search,' in README.read_text()
