"""python -m experiments.run: the main job, from a network to the bits it should have here."""

import logging
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from agents.answer_budget import answer_front
from agents.judging.beliefs import beliefs_of
from agents.ppo.ppo import policy_of
from env.decisions.budget import MEASURED_TOLERANCE
from env.evaluating.accounting import TABLE_ROW, counts, spent_s
from experiments.charts.bits import bits_chart
from experiments.charts.front import front_chart
from experiments.cluster.open_pool import training_pool
from experiments.cluster.ray_extra import check_named
from experiments.errors import ConfigError
from experiments.record import files
from experiments.record.environment_facts import environment_facts
from experiments.record.hparams import write_hparams
from experiments.record.islands import list_islands
from experiments.record.layer_choices import list_choices
from experiments.record.plain_folder import check_plain
from experiments.record.run_folder import (
    RunFolder,
    latest_run,
    open_run,
    point_latest,
    write_config,
)
from experiments.record.run_lock import run_lock
from experiments.report.command import write_report
from experiments.settings.command_line import Command, flag_value, path_flag, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command, read_base
from experiments.settings.load import check_resumable
from experiments.settings.run_config import RunConfig
from experiments.settings.started_commands import ENERGY_COMMAND, check_started
from experiments.stages.conclusion import Conclusion, conclude
from experiments.stages.event_log import EventLog
from experiments.stages.measured import Measured, graph_of, measure_device
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.pareto import pareto_csv
from experiments.stages.places import Places
from experiments.stages.results_table import print_results, to_csv
from experiments.stages.resume import (
    Resumed,
    check_same_given,
    check_same_machine,
    check_table,
    how_to_go_on,
    read_resumed,
    write_measured,
)
from experiments.stages.search import HELD_AGAINST, Searched, search
from experiments.terminal.amx_sentence import amx_sentence
from experiments.terminal.progress import LiveProgress
from experiments.terminal.typed import typed_sibling
from hardware.device import Device
from hardware.errors import HardwareLostError
from hardware.measure_layers import choose_tiles, digest_tiles
from hardware.open_device import open_device
from hardware.store import Store
from quant.allocation import Allocation
from quant.errors import BitAllocError
from quant.layers import MAX_BITS
from quant.sensitivities.outliers import find_outliers

_logger = logging.getLogger("experiments.run")  # `__main__` when it is started
_NO_MORE = ", which are all that were asked for: more are made with a larger --evaluations"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions(ConfiguredOptions):
    """Search the bit-width of every layer of a network.

    Values come from the defaults below, then from --config, then from the other flags.
    """

    resume: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Folder of a run to go on with, with its own configuration."""

    def __post_init__(self) -> None:
        """Refuse two configurations."""
        if self.resume is not None and self.file is not None:
            raise ConfigError(
                "config cannot change when a run is resumed",
                "start a new run with --config RUN/config.yaml and the other flags",
            )


def main(arguments: Sequence[str]) -> int:
    """Run the job that the command line asks for and return the exit code."""
    return run_typed("experiments.run", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return configured_command(RunOptions, _command, _base)


def run(config: RunConfig, command: str) -> RunFolder:
    """Search, choose, and write the run's folder.

    Args:
        config: The resolved configuration.
        command: The command line, for the record.

    Raises:
        BitAllocError: something that a user can cause or cure.
        HardwareLostError: the device is gone.
    """
    check_named(config.train.ray)
    root = Path(config.output)
    before = latest_run(root)
    folder = RunFolder.create(config, config.target.place)
    try:
        with run_lock(folder.path):
            folder.write_text(files.COMMAND, command)
            _work(config, folder, Resumed())
    except BitAllocError as error:
        lost = isinstance(error, HardwareLostError)
        if before and not lost and not (folder.path / files.BUDGET).exists():
            point_latest(root, before)  # there is nothing in this one to look at, or to go on with
        raise
    return folder


def resume(path: Path, config: RunConfig, command: str) -> RunFolder:
    """Go on with a run that was stopped or killed, in its own folder.

    Args:
        path: The run's folder.
        config: Its configuration, with changes of what does not change what was done so far.
        command: The command line, appended to the record.

    Raises:
        BitAllocError: the folder is none of a run, in use, damaged, has links in it, or more
            evaluations than are asked for.
        HardwareLostError: the device is gone.
    """
    folder, before = open_run(path)
    check_resumable(before, config)
    check_named(config.train.ray)
    check_plain(folder.path)
    with run_lock(folder.path):
        past = read_resumed(folder.path)
        more = "" if past.left(config.evaluations) else _NO_MORE
        folder.append_text(files.COMMAND, command)
        write_config(folder, config)
        print(f"going on after {past.made} evaluations{more}", flush=True)
        _work(config, folder, past)
    return folder


def _work(config: RunConfig, folder: RunFolder, past: Resumed) -> None:
    print(f"run folder: {folder.path}", flush=True)
    # Beside the folder, and not by `output`: the folder may have been moved, or be elsewhere.
    store_path = Path(config.store) if config.store else folder.path.parent / "store.sqlite"
    with folder.log():
        try:
            with (
                Store(store_path) as store,
                closing(
                    open_device(config.device_target, config.protocol, config.energy, store)
                ) as device,
                LiveProgress(quiet=config.quiet) as progress,
                EventLog(folder.events) as events,
            ):
                if past.measured is not None:
                    check_same_machine(folder, device.facts())
                folder.write_json(files.ENVIRONMENT, environment_facts(device.facts()))
                places = Places(
                    device=device,
                    store=store,
                    folder=folder,
                    events=events,
                    progress=progress,
                    shared_progress=progress,
                )
                _search(config, past, places)
            write_hparams(folder)
            write_report([folder.path])
        except BaseException as error:
            _logger.error("the run ended early: %r", error)
            if isinstance(error, KeyboardInterrupt | HardwareLostError):
                print(how_to_go_on(config, folder.path, typed_sibling("run")), file=sys.stderr)
            raise


def _base(arguments: Sequence[str]) -> RunConfig:
    path = path_flag("--resume", "the folder of a run", arguments)
    if path is None:
        return read_base(arguments)
    _, config = open_run(path)
    named = flag_value(f"--{ENERGY_COMMAND}", "a command", arguments)
    check_started(config, named or "", path)
    return config


def _command(options: RunOptions) -> None:
    if options.resume is None:
        folder = run(options.config, options.typed)
    else:
        folder = resume(options.resume, options.config, options.typed)
    print(f"run folder: {folder.path}")
    print(f"report: {folder.path / files.REPORT}")
    print(f"curves: tensorboard --logdir {shlex.quote(str(folder.events))}")


def _search(config: RunConfig, past: Resumed, places: Places) -> None:
    started = time.monotonic()
    folder, progress = places.folder, places.progress
    setup = set_up_network(config, progress, places.device)
    for note in setup.task.notes:
        _say(note)
    _logger.info("float network and calibration: %.1f s", time.monotonic() - started)
    measured = past.measured
    given = setup.given
    calibrated_on = setup.task.train.images[: config.env.calibration_images]
    for outlier in find_outliers(setup.network, calibrated_on):
        _say(f"out of proportion: {outlier}")
    if measured is None:
        folder.write_json(files.GIVEN, given)
        _choose_tiles(setup, places)
        measured = measure_device(setup, places.device, places.store, progress)
        write_measured(folder, measured)
        if amx := amx_sentence(places.device.facts().get("amx", "")):
            _say(amx)
    else:
        check_same_given(folder, given)
        check_table(folder.path, measured.table, _pairs(setup))
    _say(f"device: {places.device.name} ({places.device.source})")
    if measured.table.has_energies:
        _say(f"energy: {measured.table.energy_source} ({_meter_of(places.device)})")
    _say(f"search split: {setup.search_origin}")
    if setup.outputs:
        _say(f"outputs: {setup.outputs}")
    _say(f"budget: {measured.decided.budget}: {measured.decided.reason}")
    if choices := list_choices(setup.space):
        folder.write_json(files.LAYER_CHOICES, choices)
        for choice in choices:
            _say(f"layer {choice.layer}: {choice}")
    layers = setup.network.layers
    islands = list_islands(
        setup.network.graph.islands, measured.table, Allocation.uniform(layers, MAX_BITS)
    )
    for island in islands:
        _say(str(island))
    if islands:
        folder.write_json(files.ISLANDS, islands)
    with training_pool(config, setup.task, setup.network) as pool:
        searched = search(setup, measured, places, past.evaluations, pool)
        if searched.unmet is not None:
            raise searched.unmet
        conclusion = conclude(
            searched.problem,
            searched.result,
            setup,
            measured.decided,
            places.device,  # not the store: what is reported is measured now
            partial(progress.stage, "side by side"),
        )
    # What a part of this run took that was stopped is as much its time.
    seconds = spent_s(past.evaluations) + time.monotonic() - started
    _write_conclusion(config, places, measured, searched, conclusion, setup.search_origin, seconds)


def _pairs(setup: NetworkSetup) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the layers with the pairs of bits that a search may ask the table of."""
    for layer in setup.network.layers:
        yield from ((layer.name, pair) for pair in layer.bit_pairs(setup.widths))


def _choose_tiles(setup: NetworkSetup, places: Places) -> None:
    """Choose tiles before anything is measured, and write down which they are."""
    graph, widths = graph_of(setup.network), setup.widths
    report = choose_tiles(places.device, graph, widths, partial(places.progress.stage, "tiles"))
    _say(report.sentence)
    document = {**asdict(report), "digest": digest_tiles(places.device, graph, widths)}
    places.folder.write_json(files.TILES, document)


def _write_conclusion(
    config: RunConfig,
    places: Places,
    measured: Measured,
    searched: Searched,
    conclusion: Conclusion,
    origin: str,
    seconds: float,
) -> None:
    folder, events = places.folder, places.events
    budget, best = measured.decided.budget, conclusion.choice.evaluation
    evaluations = searched.problem.evaluator.evaluations
    folder.write_json(files.BEST_ALLOCATION, best.allocation)
    folder.write_text(files.FRONT, pareto_csv(evaluations))
    folder.write_text(files.RESULTS_CSV, to_csv(conclusion.rows))
    document = {
        "split": "search",
        "search_origin": origin,
        "budget": budget,
        "budget_reason": measured.decided.reason,
        "evaluations": len(evaluations),
        "accounting": searched.used,
        "seconds": seconds,
        **conclusion.to_dict(),
    }
    if searched.result.posterior is not None:
        policy = policy_of(searched.problem, config.method_settings)
        beliefs = beliefs_of(searched.problem, searched.result.posterior, policy)
        folder.write_json(files.BELIEFS, beliefs)
        folder.write_json(files.OTHER_BUDGETS, list(answer_front(beliefs)))
    folder.write_json(files.RESULTS, document)
    step = len(evaluations)
    events.chart("bits/chosen", bits_chart(best.allocation, "chosen"), step)
    rows = [asdict(row) for row in conclusion.rows]
    front = front_chart(evaluations, rows, budget.latency_ms)
    events.chart(f"front/{best.metric.name}_latency", front, step)
    # That all-8 is outside is the budget's own doing.
    rulers = {*HELD_AGAINST, TABLE_ROW}
    proposed = {item.allocation for item in evaluations if item.proposer not in rulers}
    for missed in conclusion.choice.missed:
        if missed.allocation in proposed:
            _say(f"passed over: {missed} as measured, outside the budget")
    beside = conclusion.choice.budget
    if beside.differs(budget, tolerance=MEASURED_TOLERANCE):
        _say(
            f"the budget beside the chosen allocation is {beside}: it is made of what uniform "
            "allocations take, and at the end they were timed once more beside it"
        )
    print_results(conclusion.rows, beside, "search")
    asked = sum(map(counts, evaluations))
    shown = f", and {len(evaluations) - asked} for the table," if len(evaluations) > asked else ""
    _say(f"{asked} evaluations{shown} in {seconds / 60:.1f} minutes")


def _meter_of(device: Device) -> str:
    facts = device.facts().get("energy", {})
    return str(facts.get("meter") or f"{facts.get('watts')} W as named, times the time")


def _say(line: str) -> None:
    print(line, flush=True)
    _logger.info(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
