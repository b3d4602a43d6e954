"""The command: measure drawn networks one after the other, then fit and write the prior."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from env.evaluating.stored_accuracies import code_digest
from env.responses.prior import ResponsePrior
from env.responses.shipped import FILE
from experiments.errors import ConfigError, RunFolderError, cannot_write
from experiments.record.environment_facts import commit_name
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from experiments.settings.command_line import Command, command_line, run_typed
from quant.records.json_form import from_plain, to_plain
from quant.records.ranges import Count, Natural, check_ranges
from quant.sensitivities import SensitivityKind
from tools.fit_responses.fitting import fit_prior
from tools.fit_responses.measuring import FITTED_KINDS, measure_network
from tools.fit_responses.rows import MeasuredNetwork

MODULE = "tools.fit_responses"
_CLEARLY = 3.0
"""Log evidence by which sensitivities that take a forward pass for each width must be better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitOptions:
    """Fit what sensitivities mean to networks that are drawn, trained and retrained.

    Each network is written down when it is finished, and not measured again: type the command once
    more to go on. The devices are simulated; every accuracy is real.
    """

    rows: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Where the measured networks go, a line each."""
    json: Annotated[Path, tyro.conf.arg(metavar="FILE")] = FILE
    """Where the prior goes; by default where the package reads it."""
    networks: Natural = 20
    """How many, with the seeds from 0."""
    allocations: Count = 24
    """Random allocations that are retrained of each."""
    measure: bool = True
    """Measure what is missing, and anew what older code measured; else fit to all that the file
    has."""

    def __post_init__(self) -> None:
        """Refuse a fit to no allocation."""
        check_ranges(self, "", ConfigError)


def main(arguments: Sequence[str]) -> int:
    """Measure, fit, and return the exit code."""
    command = Command(options=FitOptions, work=lambda o: _work(o, command_line(MODULE, arguments)))
    return run_typed(MODULE, command, arguments)


def _work(options: FitOptions, typed: str) -> None:
    torch.set_num_threads(1)
    commit = commit_name()
    read = read_networks(options.rows)
    if options.measure:
        read = [network for network in read if network.code == code_digest()]
    known = {network.seed: network for network in read}
    for seed in range(options.networks) if options.measure else sorted(known):
        if seed not in known:
            known[seed] = measure_network(seed, options.allocations, commit)
            append_line(options.rows, known[seed])
        one = known[seed]
        print(
            f"{seed}: {one.kind} on {one.task}, float {100 * one.float_accuracy:.1f} %, "
            f"{len(one.losses)} retrained, {one.seconds:.0f} s",
            flush=True,
        )
    networks = [known[seed] for seed in sorted(known)]
    if not networks:
        raise RunFolderError("expected at least one measured network, found none")
    _write(options.json, _fitted(networks, typed))
    print(f"written to {options.json}")


def read_networks(path: Path) -> list[MeasuredNetwork]:
    """Return the networks of a file, whatever code measured them.

    Raises:
        RunFolderError: the file is not one of networks.
    """
    cut_torn_line(path)
    lines = whole_lines(path.read_bytes()) if path.exists() else []
    try:
        return [from_plain(MeasuredNetwork, json.loads(line)) for line in lines]
    except ValueError as error:
        raise RunFolderError(
            f"expected measured networks in {path}, found another document: {error}",
            "name another file with --rows",
        ) from None


def _fitted(networks: Sequence[MeasuredNetwork], typed: str) -> dict[str, Any]:
    """Return the document: the likeliest prior, those it was chosen among, and where from."""
    fits = [
        (facts, fit_prior(networks, kind, _source(networks), facts=facts))
        for kind in FITTED_KINDS
        for facts in (False, True)
    ]
    for facts, fit in fits:
        said = f"{fit.prior.kind}{' with layer facts' if facts else ''}"
        print(f"{said}: log evidence {fit.evidence:.1f}, the guess {fit.guess_evidence:.1f}")
    cheap, dear = (fit for facts, fit in fits if not facts)
    plain = dear if dear.evidence > cheap.evidence + _CLEARLY else cheap
    return {
        "prior": to_plain(plain.prior),
        "without": {
            task: to_plain(_without(networks, task, plain.prior.kind))
            for task in sorted({network.task for network in networks})
        },
        "fits": [{"layer_facts": facts, **to_plain(fit)} for facts, fit in fits],
        "command": typed,
        "date": time.strftime("%Y-%m-%d"),
        "commits": sorted({network.commit for network in networks}),
        "seconds": round(sum(network.seconds for network in networks), 1),
        "networks": [
            {
                "seed": network.seed,
                "kind": network.kind,
                "task": network.task,
                "float_accuracy": round(network.float_accuracy, 4),
                "allocations": len(network.losses),
            }
            for network in networks
        ],
    }


def _without(
    networks: Sequence[MeasuredNetwork], task: str, kind: SensitivityKind
) -> ResponsePrior:
    """Fit without the networks of a task: what is judged on that task must not have seen it."""
    others = [network for network in networks if network.task != task]
    return fit_prior(others, kind, f"{_source(others)}, none on {task}", facts=False).prior


def _source(networks: Sequence[MeasuredNetwork]) -> str:
    return f"fitted to {len(networks)} drawn networks, really retrained"


def _write(file: Path, document: dict[str, Any]) -> None:
    try:
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(file, error) from None
