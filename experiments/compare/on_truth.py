"""Methods on tables of truth: a hundred seeds in minutes, regret against the true best."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.compare.plan import Plan
from experiments.errors import ConfigError
from experiments.record.run_lock import run_lock
from experiments.settings.run_config import RunConfig
from experiments.terminal.progress import LiveProgress
from experiments.terminal.tables import print_whole
from experiments.truth.contest import OutcomeFile, matches, play
from experiments.truth.facts import facts_of, prize_of
from experiments.truth.report import document_of, draw_facts, draw_regrets
from experiments.truth.world import open_world
from hardware.store import Store
from quant.errors import DataError
from quant.records.atomic_file import write_atomically
from quant.records.json_form import json_text

EVALUATIONS = (0, 4, 8, 16, 24, 48)
"""Limits at which regret is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """What is played."""

    tables: tuple[Path, ...]
    plan: Plan
    """Methods, budgets and seeds."""
    evaluations: tuple[int, ...]
    """Limits, each played by itself: what a method does last depends on its limit."""

    def __post_init__(self) -> None:
        """Refuse limits that are none.

        Raises:
            ConfigError: there are none, or one is below 0.
        """
        if min(self.evaluations, default=-1) < 0:
            raise ConfigError("--at: expected evaluation limits of 0 or more, found less or none")


def compare_on_truth(
    contest: Contest,
    base: RunConfig,
    folder: Path,
    command: str,
    progress: LiveProgress,
    json_file: Path | None = None,
) -> None:
    """Play what is not played yet, and show and write what all came to.

    Args:
        contest: Tables, methods, budgets, limits and seeds.
        base: Settings of the methods and of the reward.
        folder: Keeps outcomes and estimates.
        command: As it was typed.
        progress: Shows how far it is.
        json_file: Gets the document, too.

    Raises:
        DataError: a table is missing or damaged, or two have one name.
        RunFolderError: the folder's file holds something else.
    """
    names, plan = [path.stem for path in contest.tables], contest.plan
    if len(set(names)) != len(names):
        raise DataError(f"expected tables of different names, found {', '.join(names)}")
    folder.mkdir(parents=True, exist_ok=True)
    with run_lock(folder), Store(folder / "store.sqlite") as store:
        worlds = {path.stem: open_world(path, base, store, progress) for path in contest.tables}
        file = OutcomeFile(folder / "outcomes.jsonl")
        wanted = list(
            matches(names, plan.budgets, plan.methods, contest.evaluations, range(plan.seeds))
        )
        for number, match in enumerate(wanted):
            if match not in file.outcomes:
                progress.stage("contest", number, len(wanted), f"{match.method}, {match.table}")
                file.add(play(match, worlds[match.table]))
        facts = {name: facts_of(world.table) for name, world in worlds.items()}
        prizes = {
            name: {b: prize_of(world, b, facts[name].noise) for b in plan.budgets}
            for name, world in worlds.items()
        }
    document = document_of((file.outcomes[match] for match in wanted), facts, prizes, command)
    text = json_text(document, indent=2) + "\n"
    for path in (folder / "truth.json", *([json_file] if json_file else [])):
        write_atomically(path, text)
    _show(draw_facts(facts, prizes))
    print_whole(*draw_regrets(document))
    print(f"written to {folder}")


def _show(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)
