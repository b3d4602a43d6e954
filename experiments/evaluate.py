"""python -m experiments.evaluate RUN: the chosen allocations once more, from nothing."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import tyro

from env.decisions.budget import Budget
from env.evaluating.training_pool import WorkersConfig
from experiments.cluster.ray_extra import check_named
from experiments.errors import RunFolderError, cannot_write
from experiments.record import files
from experiments.record.given import say_changes
from experiments.record.result_row import ResultRow
from experiments.record.run_folder import RunFolder, open_run
from experiments.report.command import write_report
from experiments.settings.command_line import Command, RunPath, run_typed
from experiments.settings.run_config import RunConfig
from experiments.settings.started_commands import ENERGY_COMMAND, check_started
from experiments.stages.conclusion import BEST_FOUND, reported_uniform, uniform_name
from experiments.stages.measured import graph_of, reference_and_uniforms
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.resource_budget import DecidedBudget
from experiments.stages.results_table import float_row, print_results, quantized_row
from experiments.stages.retraining import (
    FinalNetwork,
    retrain_and_score,
    retrain_float_and_score,
    retrain_together,
)
from experiments.stages.side_by_side import time_side_by_side
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.measure_layers import digest_tiles
from hardware.open_device import open_device
from hardware.target import TargetConfig
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.objective.paired import paired
from quant.objective.scores import ImageScores
from quant.records.disk import probe
from quant.records.ranges import Count

FLOAT = "float, retrained"
"""The float network after as many more steps as every allocation gets, for a fair comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateOptions:
    """Evaluate a run's answer from nothing.

    Retrain the best and the uniform allocations longer from the float checkpoint, compile them with
    an empty kernel cache, measure them again, and score them on the test split.
    """

    run: RunPath
    """Folder of a finished run, such as runs/latest."""
    tune: bool = True
    """Give every layer the tile that the run's search chose; without, the default tile."""
    energy_command: Annotated[str, tyro.conf.arg(name=ENERGY_COMMAND, metavar="COMMAND")] = ""
    """The command of the run's external energy meter, named again: it is started here."""
    ray: Annotated[str, tyro.conf.arg(name="train.ray", metavar="auto|HOST:PORT")] = ""
    """The Ray cluster whose machines retrain, whatever retrained for the run: all allocations at
    once, with the same results (docs/scale.md). Empty: this process."""
    workers: Annotated[Count, tyro.conf.arg(name="train.workers")] = 1
    """Processes of the cluster that retrain at once."""
    quiet: bool = False
    """Show no live progress line."""

    @property
    def retrained_by(self) -> WorkersConfig:
        """Who retrains."""
        return WorkersConfig(ray=self.ray, workers=self.workers)


def main(arguments: Sequence[str]) -> int:
    """Evaluate a finished run and return the exit code."""
    return run_typed("experiments.evaluate", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=EvaluateOptions, work=_command)


def evaluate(
    folder: RunFolder, config: RunConfig, workers: WorkersConfig | None = None
) -> tuple[list[ResultRow], Budget]:
    """Retrain, rebuild and measure again; write `evaluate.json`.

    Args:
        folder: Of the finished run.
        config: The run's configuration; its `final` section says how long to retrain.
        workers: The cluster that retrains, whatever the run's was; None or none named: this
            process.

    Returns:
        The rows of the table, on the test split, and the run's budget: what of it is a share is
        one of what was measured beside.
    """
    limits = folder.record.budget
    if limits is None:
        raise RunFolderError(
            f"expected the budget of the run in {folder.path / files.BUDGET}, found none",
            "evaluate needs the whole folder of a finished run",
        )
    with (
        # A fresh folder, so that every kernel is generated and compiled again.
        tempfile.TemporaryDirectory(prefix="bitalloc-kernels-") as kernels,
        closing(
            open_device(fresh_target(config, kernels), config.protocol, config.energy)
        ) as device,
        LiveProgress(quiet=config.quiet) as progress,
    ):
        setup = set_up_network(config, progress)
        say_changes(folder.record.given, setup.given)
        layers = setup.network.layers
        best = folder.record.chosen(layers)
        _compare_tiles(folder, setup, device)
        uniform = {uniform_name(bits): a for bits, a in reported_uniform(setup.space).items()}
        allocations = {**uniform, BEST_FOUND: best}
        trained, longer = _retrained(setup, allocations, workers, progress)
        decided = DecidedBudget.from_dict(limits)
        known = reference_and_uniforms(setup.space)
        # Uniform allocations that have no row, but that a limit is a share of; bits decide times.
        shared = {*decided.latency_shares, *decided.energy_shares}
        beside = {
            uniform_name(bits): graph_of(setup.network, known[bits]) for bits in shared & set(known)
        }
        timed = time_side_by_side(
            device,
            beside | {name: final.graph for name, final in trained.items()},
            progress=partial(progress.stage, "measuring"),
        )
        facts = dict(device.facts())
    budget = decided.beside(
        {bits: timed[uniform_name(bits)] for bits in known if uniform_name(bits) in timed}
    )
    whole = setup.float_scores(setup.task.test)
    reference = trained[uniform_name(MAX_BITS)].scores
    rows = [
        float_row(layers, whole.score, paired(whole, reference)),
        float_row(layers, longer.score, paired(longer, reference), FLOAT),
    ]
    rows += [
        quantized_row(
            name,
            allocations[name],
            metric=final.scores.metric,
            score=final.scores.value,
            score_se=final.scores.standard_error,
            beside_reference=paired(final.scores, reference),
            kept=final.retraining.kept,
            model_bytes=final.graph.weight_bytes(),
            measurement=timed[name],
            budget=budget,
        )
        for name, final in trained.items()
    ]
    document: dict[str, Any] = {
        "split": "test",
        "budget": budget,
        "device": facts,
        "steps": config.final.steps,
        "retraining": {name: final.retraining for name, final in trained.items()},
        "rows": rows,
        "allocations": allocations,
        "measurements": {name: timed[name] for name in trained},
    }
    folder.write_json(files.TEST_RESULTS, document)
    return rows, budget


def fresh_target(config: RunConfig, kernels: str) -> TargetConfig:
    """Return a run's target with another kernel cache and the run's own tile choices.

    Args:
        config: The run's configuration.
        kernels: An empty folder.
    """
    return replace(config.device_target, kernel_cache=kernels)


def _retrained(
    setup: NetworkSetup,
    allocations: Mapping[str, Allocation],
    workers: WorkersConfig | None,
    progress: LiveProgress,
) -> tuple[dict[str, FinalNetwork], ImageScores]:
    """Retrain each allocation by itself, all with the same seed, and the float network."""
    test = setup.task.test
    if workers is not None and workers.ray:
        report = partial(progress.stage, "retraining")
        return retrain_together(setup, allocations, test, workers, report)
    trained = {
        name: retrain_and_score(
            setup, allocation, test, partial(progress.stage, f"retraining {name}")
        )
        for name, allocation in allocations.items()
    }
    longer = retrain_float_and_score(setup, test, partial(progress.stage, f"retraining {FLOAT}"))
    return trained, longer


def _compare_tiles(folder: RunFolder, setup: NetworkSetup, device: Device) -> None:
    """Say when the kernels have other tiles than the run's: its times may be others, too."""
    if (tiles := folder.record.tiles) is None:
        return  # a run from before there was a search
    if digest_tiles(device, graph_of(setup.network), setup.widths) != tiles["digest"]:
        print("the tiles are not those of the run: its search was repeated, removed, or left out")


def _command(options: EvaluateOptions) -> None:
    folder, config = open_run(options.run, finished=True)
    check_started(config, options.energy_command, options.run)
    if (refused := probe(folder.path)) is not None:
        raise cannot_write(folder.path, refused, "a copy of the run")
    workers = options.retrained_by
    check_named(workers.ray)
    config = replace(config, quiet=options.quiet or config.quiet, tune=config.tune and options.tune)
    rows, budget = evaluate(folder, config, workers)
    print_results(rows, budget, "test")
    print(f"written to {folder.path / files.TEST_RESULTS} and {write_report([folder.path])}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
