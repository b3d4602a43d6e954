"""Methods on tables of truth: a hundred seeds in minutes, regret against the true best."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from experiments.cluster.crew import Crew
from experiments.cluster.ray_extra import check_named
from experiments.compare.conditions import (
    OUTCOMES,
    committed_in,
    conditions_of,
    keep_conditions,
)
from experiments.compare.player import ContestJob, Player
from experiments.record.environment_facts import git_state
from experiments.record.run_lock import run_lock
from experiments.settings.run_config import RunConfig
from experiments.terminal.progress import LiveProgress
from experiments.terminal.tables import print_whole
from experiments.truth.claim import Claim
from experiments.truth.contest import Match, Outcome, OutcomeFile, matches, play
from experiments.truth.facts import facts_of, prize_of
from experiments.truth.report import document_of, draw_facts, draw_regrets
from experiments.truth.verdicts import verdicts
from experiments.truth.world import TruthWorld, open_world
from hardware.store import Store
from quant.records.atomic_file import write_atomically
from quant.records.json_form import json_text

EVALUATIONS = (0, 4, 8, 16, 24, 48)
"""Limits at which regret is shown."""


def compare_on_truth(
    claim: Claim,
    base: RunConfig,
    folder: Path,
    command: str,
    progress: LiveProgress,
    *,
    claim_file: Path | None = None,
    json_file: Path | None = None,
) -> None:
    """Play what is not played yet, and show and write what all came to.

    Args:
        claim: Tables, methods, budgets, limits, seeds, and what is expected.
        base: Settings of the methods and of the reward.
        folder: Keeps outcomes and estimates.
        command: As it was typed.
        progress: Shows how far it is.
        claim_file: Where the claim was read; its digest is written down.
        json_file: Gets the document, too.

    Raises:
        DataError: a table is missing or damaged.
        RunFolderError: the folder's file holds something else, or outcomes that were played under
            other conditions.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Before hours of play: whoever edits the claim meanwhile has claimed nothing, and whoever edits
    # the code meanwhile has not played by it.
    commit = git_state()
    claimed = {
        "sha256": hashlib.sha256(claim_file.read_bytes()).hexdigest() if claim_file else "",
        "committed_in": committed_in(claim_file) if claim_file else "",
    }
    if claim_file and not claimed["committed_in"]:
        print(f"{claim_file} is in no commit as it is: nothing was claimed beforehand")
    conditions = conditions_of(claim, base)
    with run_lock(folder), Store(folder / "store.sqlite") as store:
        worlds = {path.stem: open_world(path, base, store, progress) for path in claim.tables}
        keep_conditions(folder, conditions)
        file = OutcomeFile(folder / OUTCOMES)
        wanted = list(matches(claim))
        missing = [match for match in wanted if match not in file.outcomes]
        if base.train.ray and missing:
            check_named(base.train.ray)
            outcomes = _together(claim, base, missing)
        else:
            outcomes = _alone(worlds, missing)
        for done, outcome in enumerate(outcomes, len(wanted) - len(missing) + 1):
            file.add(outcome)
            match = outcome.match
            progress.stage("contest", done, len(wanted), f"{match.method}, {match.table}")
        facts = {name: facts_of(world.table) for name, world in worlds.items()}
        prizes = {
            name: {b: prize_of(world, b, facts[name].noise) for b in claim.budgets}
            for name, world in worlds.items()
        }
    became = verdicts(claim, file.outcomes)
    document = {
        "command": command,
        "commit": commit,
        "conditions": conditions,
        "claim": {
            **asdict(claim),
            "tables": claim.names,
            **claimed,
        },
        "verdicts": became,
        **document_of((file.outcomes[match] for match in wanted), facts, prizes),
    }
    text = json_text(document, indent=1) + "\n"
    for path in (folder / "truth.json", *([json_file] if json_file else [])):
        write_atomically(path, text)
    for line in (*draw_facts(facts, prizes), *(verdict.sentence for verdict in became)):
        print(line)
    print_whole(*draw_regrets(document))
    print(f"written to {folder}")


def _alone(worlds: Mapping[str, TruthWorld], wanted: Sequence[Match]) -> Iterator[Outcome]:
    for match in wanted:
        yield play(match, worlds[match.table])


def _together(claim: Claim, base: RunConfig, wanted: Sequence[Match]) -> Iterator[Outcome]:
    """Have the workers of a cluster play; yield what each match came to, in order."""
    tables = {path.stem: path.resolve() for path in claim.tables}
    job = ContestJob(tables=tables, config=base, threads=torch.get_num_threads())
    crew = Crew(base.train, Player, job, threads=job.threads)
    try:
        for piece in [crew.ask("play", match) for match in wanted]:
            yield piece.result()
    finally:
        crew.close()
