"""Holds a run's answer against the uniform allocations: one weight and one activation width each.

python -m tools.beside_uniform RUN --json FILE

Every pair of widths is timed beside the answer; those inside the budget are retrained as long as
`final` says, and scored on the test split. The answer wins where it is better by more than two
paired standard errors, or where it is at most one worse and takes 5 % less time.
"""

import json
import sys
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from env.decisions.budget import MEASURED_TOLERANCE
from experiments.compare.answer import FinalScores
from experiments.errors import RunFolderError
from experiments.record.environment_facts import git_state
from experiments.record.run_folder import RunFolder, open_run
from experiments.settings.run_config import RunConfig
from experiments.settings.written_file import check_file, write_file
from experiments.stages.measured import graph_of, reference_and_uniforms
from experiments.stages.network_setup import set_up_network
from experiments.stages.resource_budget import ALL_8, DecidedBudget
from experiments.stages.side_by_side import time_side_by_side
from experiments.terminal.exit_codes import run_command
from experiments.terminal.progress import LiveProgress
from hardware.open_device import open_device
from hardware.store import Store
from quant.allocation import Allocation
from quant.objective.metric import Metric
from quant.objective.paired import paired
from quant.objective.scores import ImageScores
from quant.records.json_form import to_plain

CLEARLY, AS_GOOD, FASTER = 2.0, 1.0, 0.95
"""Paired standard errors that are a difference, those that are none, and the time that is less."""


_JSON = "--json FILE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Which run."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a finished run, such as runs/latest."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write everything there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rival:
    """A uniform allocation inside the budget, beside the answer."""

    weight_bits: int
    activation_bits: int
    latency_ratio: float
    """The answer's time over this one's."""
    score: float
    gain: float
    """Quality of the answer less this one's, on the same images: positive where it is better."""
    gain_se: float
    """Paired standard error."""
    verdict: str
    """`better`, `as good and faster`, or empty where it is neither."""
    stable: bool
    """Whether the machine left the timing of this one alone."""


def verdict(gain: float, gain_se: float, latency_ratio: float) -> str:
    """Return how an answer wins; empty where it does not.

    Args:
        gain: Its score less a rival's, turned so that more is better.
        gain_se: Paired standard error of it.
        latency_ratio: Its time over the rival's.

    >>> verdict(0.3, 0.1, 1.2), verdict(-0.05, 0.1, 0.9), verdict(0.15, 0.1, 1.0)
    ('better', 'as good and faster', '')
    """
    if gain > CLEARLY * gain_se:
        return "better"
    if gain >= -AS_GOOD * gain_se and latency_ratio <= FASTER:
        return "as good and faster"
    return ""


def compare(folder: RunFolder, config: RunConfig) -> dict[str, Any]:
    """Time, retrain and score; return the document.

    Args:
        folder: Of a finished run, which has a latency budget.
        config: The run's configuration.

    Raises:
        RunFolderError: the folder has no budget.
    """
    if (limits := folder.record.budget) is None:
        raise RunFolderError(f"{folder.path}: expected a run's budget, found none")
    decided = DecidedBudget.from_dict(limits)
    with (
        Store(Path(config.store) if config.store else folder.path.parent / "store.sqlite") as store,
        closing(open_device(config.device_target, config.protocol, config.energy, store)) as device,
        LiveProgress(quiet=config.quiet) as progress,
    ):
        setup = set_up_network(config, progress)
        best = folder.record.chosen(setup.network.layers)
        uniform = setup.space.uniform_pairs()
        anchors = reference_and_uniforms(setup.space)
        graphs = {
            one: graph_of(setup.network, one)
            for one in {*uniform.values(), *anchors.values(), best}
        }
        timed = time_side_by_side(device, graphs, progress=partial(progress.stage, "measuring"))
        budget = decided.beside({bits: timed[one] for bits, one in anchors.items()})
        inside = {
            bits: one
            for bits, one in uniform.items()
            if budget.allows(
                latency_ms=timed[one].median_ms,
                energy_mj=timed[one].energy_mj,
                model_bytes=graphs[one].weight_bytes(),
                tolerance=MEASURED_TOLERANCE,
            )
        }
        all_8 = anchors[ALL_8]
        wanted = dict.fromkeys([best, all_8, *inside.values()])
        final, scores = FinalScores(setup, store), {}
        for number, one in enumerate(wanted):
            scores[one] = final.of(one)
            progress.stage("retraining", number + 1, len(wanted))
        facts = dict(device.facts())
    rivals = [_rival(bits, one, best, scores, timed) for bits, one in inside.items()]
    return {
        "split": "test",
        "seed": config.seed,
        "budget": budget,
        "reason": decided.reason,
        "device": facts,
        "metric": scores[best].metric,
        "answer": best,
        "score": scores[best].value,
        "score_8": scores[all_8].value,
        "latency_ms": timed[best].median_ms,
        "latency_ms_8": timed[all_8].median_ms,
        "stable": {
            "answer": timed[best].verdict.stable,
            **{str(bits): timed[one].verdict.stable for bits, one in anchors.items()},
        },
        "times_ms": {f"{w}/{a}": timed[one].median_ms for (w, a), one in uniform.items()},
        "rivals": rivals,
        "wins": bool(rivals) and all(rival.verdict for rival in rivals),
    }


def _rival(
    bits: tuple[int, int],
    rival: Allocation,
    best: Allocation,
    scores: dict[Allocation, ImageScores],
    timed: dict[Allocation, Any],
) -> Rival:
    difference = paired(scores[best], scores[rival])
    metric: Metric = scores[best].metric
    gain = difference.score if metric.more_is_better else -difference.score
    ratio = timed[best].median_ms / timed[rival].median_ms
    error = difference.score_se or 0.0
    return Rival(
        weight_bits=bits[0],
        activation_bits=bits[1],
        latency_ratio=ratio,
        score=scores[rival].value,
        gain=gain,
        gain_se=error,
        verdict=verdict(gain, error, ratio),
        stable=timed[rival].verdict.stable,
    )


def main() -> int:
    """Print a line for each rival; return the exit code."""
    options = tyro.cli(Options, description=__doc__)
    return run_command(lambda: _command(options))


def _command(options: Options) -> None:
    check_file(options.json, _JSON)
    folder, config = open_run(options.run, finished=True)
    document = {"commit": git_state(), **compare(folder, config)}
    metric = document["metric"]
    print(f"budget: {document['budget']} ({document['reason']})")
    print(f"answer: {document['latency_ms']:.4f} ms, {metric.text(document['score'])}")
    print(f"all-8: {document['latency_ms_8']:.4f} ms, {metric.text(document['score_8'])}")
    for rival in document["rivals"]:
        print(
            f"W{rival.weight_bits}A{rival.activation_bits}: {metric.text(rival.score)}, answer "
            f"{metric.difference(rival.gain, rival.gain_se)}, {rival.latency_ratio:.3f} of its "
            f"time{'' if rival.stable else ' (unstable)'}: {rival.verdict or 'not beaten'}"
        )
    if options.json is not None:
        write_file(options.json, json.dumps(to_plain(document), indent=1) + "\n", _JSON)


if __name__ == "__main__":
    sys.exit(main())
