"""Report: what a contest came to, as one document and as tables for the terminal."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table

from experiments.truth.contest import Outcome
from experiments.truth.facts import Prize, TableFacts
from experiments.truth.statistics import interval_of
from experiments.truth.verdicts import regrets_of
from experiments.truth.world import MEASURES
from quant.records.json_form import to_plain


def document_of(
    outcomes: Iterable[Outcome],
    facts: Mapping[str, TableFacts],
    prizes: Mapping[str, Mapping[float, Prize]],
) -> dict[str, Any]:
    """Return `{table: {budget: {method: {evaluations: {iqm, low, high, ...}}}}}` and the facts.

    Once for each measure of regret; low and high bound a 95 % bootstrap interval over seeds and
    over what the answers' retrainings leave open. `used`: what methods took in the mean.
    """
    grouped: dict[tuple[str, float, str, int], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        match = outcome.match
        grouped[match.table, match.budget, match.method, match.evaluations].append(outcome)
    regrets: dict[str, Any] = {measure: {} for measure in MEASURES}
    used: dict[str, dict[str, dict[str, float]]] = {}
    fell_back: dict[str, int] = defaultdict(int)
    for measure in MEASURES:
        for (table, budget, method, evaluations), found in sorted(grouped.items()):
            of = regrets[measure].setdefault(table, {}).setdefault(f"{budget:g}", {})
            of.setdefault(method, {})[str(evaluations)] = {
                **to_plain(interval_of(regrets_of(found, measure))),
                "seeds": len(found),
                "answers": len({outcome.answer for outcome in found}),
                "fell_back": sum(outcome.fell_back for outcome in found),
            }
    for (_, _, method, _), found in grouped.items():
        fell_back[method] += sum(outcome.fell_back for outcome in found)
    for method, evaluations in sorted({(key[2], key[3]) for key in grouped}):
        found = [o for key, of in grouped.items() if key[2:] == (method, evaluations) for o in of]
        used.setdefault(method, {})[str(evaluations)] = {
            name: sum(getattr(outcome, name) for outcome in found) / len(found)
            for name in ("used", "again", "training_samples")
        }
    return {
        "regret": regrets.pop("accuracy"),
        **{f"regret_{measure}": of for measure, of in regrets.items()},
        "fell_back": dict(fell_back),
        "used": used,
        "facts": to_plain(dict(facts)),
        "prizes": {
            table: {f"{budget:g}": to_plain(prize) for budget, prize in of.items()}
            for table, of in prizes.items()
        },
    }


def draw_regrets(document: Mapping[str, Any]) -> list[Table]:
    """Return a table for each table and budget: methods down, evaluations across."""
    drawn = []
    for name, budgets in document["regret"].items():
        for budget, methods in budgets.items():
            counts = sorted({int(count) for cells in methods.values() for count in cells})
            table = Table(
                title=f"{name}, budget {100 * float(budget):g} %: points lost to the best, "
                "interquartile mean [95 %] mean"
            )
            table.add_column("method")
            for count in counts:
                table.add_column(str(count), justify="right")
            for method, cells in methods.items():
                table.add_row(method, *(_cell(cells.get(str(count))) for count in counts))
            drawn.append(table)
    return drawn


def draw_facts(
    facts: Mapping[str, TableFacts], prizes: Mapping[str, Mapping[float, Prize]]
) -> Sequence[str]:
    """Return sentences on each table."""
    lines = []
    for name, of in facts.items():
        lines.append(
            f"{name}: {of.allocations} allocations, {of.rows} rows; noise of a retraining "
            f"{of.noise:.2f} points of a spread of {of.spread:.2f}, none in {100 * of.equal:.0f} % "
            f"of them, shared by neighbours: {of.shared:.2f}; a sum over decisions explains "
            f"{100 * of.additive:.0f} % of accuracy, {100 * of.additive_log_loss:.0f} % of log "
            f"loss; looks: bias {of.looks.bias:.2f}, factor {of.looks.factor:.2f} (logarithms), "
            f"noise {of.looks.noise:.3f} of loss"
        )
        for budget, prize in prizes[name].items():
            lines.append(
                f"  {100 * budget:g} %: {prize.inside} allocations inside, the best "
                f"{prize.best:.2f} %, the best uniform {prize.uniform:.2f} %; on images that chose "
                f"neither {prize.left_out:.2f} points or {prize.standard_errors:.1f} standard "
                f"errors apart{'' if prize.refined else '; not refined: the best is lucky'}"
            )
    return lines


def _cell(cell: Mapping[str, float] | None) -> str:
    if cell is None:
        return ""
    return f"{cell['iqm']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}] {cell['mean']:.2f}"
