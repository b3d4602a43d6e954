"""Prints the tables of docs/comparison.md from what `compare --claim --json` wrote.

python -m tools.methods_markdown docs/results/methods.json --measure log_loss

Nothing is computed: a document says what it holds.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.truth.world import Measure

_KEYS: Mapping[str, str] = {
    "accuracy": "regret",
    "log_loss": "regret_log_loss",
    "reward": "regret_reward",
}
_DIGITS: Mapping[str, int] = {"accuracy": 2, "log_loss": 3, "reward": 3}
Document = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Which document, and in what regret is shown."""

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.json")]
    """What `compare --claim FILE.yaml --json` wrote."""
    measure: Measure = "accuracy"
    """Points of accuracy, logarithm of the loss, or reward."""
    show: Literal["regrets", "bars"] = "regrets"
    """Regrets of all methods, or what became of what was claimed."""


def regret_lines(document: Document, measure: Measure) -> Iterator[str]:
    """Yield a Markdown table for each table of truth and budget: methods down, limits across."""
    digits = _DIGITS[measure]
    for table, budgets in document[_KEYS[measure]].items():
        for budget, methods in sorted(budgets.items(), key=lambda item: float(item[0])):
            limits = sorted({int(limit) for cells in methods.values() for limit in cells})
            yield f"**{table}, {100 * float(budget):g} % of the way**"
            yield ""
            yield "| method | seeds | " + " | ".join(f"{limit}" for limit in limits) + " |"
            yield "|---|---|" + "---|" * len(limits)
            for name in document["claim"]["methods"]:
                cells = methods[name]
                shown = (_cell(cells[str(limit)], digits) for limit in limits)
                yield f"| `{name}` | {cells[str(limits[0])]['seeds']} | {' | '.join(shown)} |"
            yield ""


def bar_lines(document: Document) -> Iterator[str]:
    """Yield a Markdown table of what was claimed and in how many cells it held.

    Of bars over sums of budgets, which have few cells, with the interval of each.
    """
    yield "| less regret | than | at | plus | in | held in | |"
    yield "|---|---|---|---|---|---|---|"
    for verdict in document["verdicts"]:
        bar, cells = verdict["bar"], verdict["cells"]
        # Documents of before have neither.
        summed, ratio = bar.get("summed", False), bar.get("ratio")
        than = f"`{bar['than']}`" + (f" at {bar['than_at']}" if bar["than_at"] is not None else "")
        limits = ", ".join(map(str, bar["at"]))
        plus = f"{bar['margin']:g}" if ratio is None else f"at most {ratio:g} times"
        measure = bar["measure"] + (", summed over budgets" if summed else "")
        held = f"{sum(cell['held'] for cell in cells)} of {len(cells)}"
        if summed:
            digits = _DIGITS[bar["measure"]]
            held += ": " + "; ".join(
                _cell(cell["ratio"] or cell["difference"], digits) for cell in cells
            )
        outcome = "held" if verdict["held"] else "missed"
        yield (
            f"| `{bar['better']}` | {than} | {limits} | {plus} | {measure} | {held} | {outcome} |"
        )


def _cell(cell: Mapping[str, float], digits: int) -> str:
    # A ratio to nothing is infinite, and null in JSON.
    iqm, low, high = (
        "∞" if cell[of] is None else f"{cell[of]:.{digits}f}" for of in ("iqm", "low", "high")
    )
    return f"{iqm} [{low}, {high}]"


def main() -> None:
    """Print what is asked for."""
    options = tyro.cli(Options, description=__doc__)
    document = json.loads(options.file.read_text(encoding="utf-8"))
    lines = (
        bar_lines(document) if options.show == "bars" else regret_lines(document, options.measure)
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
