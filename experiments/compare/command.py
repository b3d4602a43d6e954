"""python -m experiments.compare: all methods on one task and one device, and who wins where."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from agents.methods import METHODS
from experiments.charts.draw import draw_chart, png_bytes
from experiments.cluster.open_pool import training_pool
from experiments.cluster.ray_extra import check_named
from experiments.compare.answer import FinalScores, answer_of, time_beside_all_8
from experiments.compare.comparison import Comparison
from experiments.compare.figures import CHARTS
from experiments.compare.folder import ROWS, UNIFORM, CompareFolder
from experiments.compare.guessing import guess_quality
from experiments.compare.job import Subject, Workplace, run_job
from experiments.compare.on_truth import EVALUATIONS, compare_on_truth
from experiments.compare.plan import DEFAULT_BUDGETS, Job, Plan
from experiments.compare.rows import Row, UniformRow, append_row, read_rows, rows_csv
from experiments.compare.shared import SharedTimes
from experiments.compare.tables import draw_answers, draw_costs, draw_pairs
from experiments.record import files
from experiments.record.environment_facts import environment_facts
from experiments.record.run_lock import run_lock
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.settings.run_config import RunConfig
from experiments.stages.conclusion import reported_uniform
from experiments.stages.measured import graph_of, measure_times
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.resume import check_same_machine
from experiments.terminal.progress import LiveProgress
from experiments.terminal.tables import print_whole
from experiments.truth.claim import Claim, read_claim
from hardware.device import Device
from hardware.measure_layers import choose_tiles
from hardware.open_device import open_device
from hardware.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareOptions(ConfiguredOptions):
    """Run every method under the same budgets, retraining and measurement.

    Each finished job is kept; the same command goes on where it was stopped. `--output` is the
    comparison's own folder, runs/compare-TASK by default. With `--train.ray` the machines of a
    cluster retrain candidates, or play on tables of truth.
    """

    methods: tuple[str, ...] = tuple(METHODS)
    """Methods to compare."""
    budgets: tuple[float, ...] = DEFAULT_BUDGETS
    """Shares of the way from the fastest uniform allocation's time to all-8's."""
    seeds: int = 3
    """How many seeds, from 0 on."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures, and pictures, there."""
    truth: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="FILE.npz")] = ()
    """Tables of truth to search instead of the configured task: evaluations are looked up in them,
    and answers judged by what the search did not see (docs/truth.md)."""
    claim: Annotated[Path | None, tyro.conf.arg(metavar="FILE.yaml")] = None
    """What is played on tables of truth, and what is expected of it, registered beforehand: it
    stands for --truth, --methods, --budgets, --seeds and --at."""
    at: tuple[int, ...] = EVALUATIONS
    """On tables of truth, the evaluation limits that methods are judged at; 0 is before any."""


def main(arguments: Sequence[str]) -> int:
    """Compare methods and return the exit code."""
    return run_typed("experiments.compare", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return configured_command(CompareOptions, _command)


def compare(
    plan: Plan, base: RunConfig, path: Path, command: str, progress: LiveProgress
) -> Comparison:
    """Do every job that is not finished yet, and return what all came to.

    Args:
        plan: Methods, budgets, seeds and the evaluation limit.
        base: Everything else.
        path: The comparison's folder; what it holds already is not done again.
        command: The command line, for the record.
        progress: Where the jobs are shown.

    Raises:
        BitAllocError: something that a user can cause or cure.
        HardwareLostError: the device is gone.
    """
    folder = CompareFolder.open(path, base)
    folder.check_plan(plan)
    with (
        run_lock(path),
        Store(Path(base.store) if base.store else path / "store.sqlite") as store,
        closing(open_device(base.device_target, base.protocol, base.energy, store)) as device,
    ):
        if (path / files.ENVIRONMENT).exists():
            check_same_machine(folder, device.facts())
        else:
            folder.write_json(files.ENVIRONMENT, environment_facts(device.facts()))
        place = Workplace(folder=path / "jobs", device=device, store=store, progress=progress)
        for seed in range(plan.seeds):
            _do_seed(plan, replace(base, seed=seed), folder, place)
        return _comparison(plan, base, folder, command, device)


def _do_seed(plan: Plan, config: RunConfig, folder: CompareFolder, place: Workplace) -> None:
    rows = list(read_rows(folder.path / ROWS, Row))
    done = {_job_of(row) for row in rows}
    references = {(row.bits, row.seed) for row in read_rows(folder.path / UNIFORM, UniformRow)}
    jobs = [job for job in plan.jobs if job.seed == config.seed and job not in done]
    if not jobs and any(seed == config.seed for _, seed in references):
        return
    setup = set_up_network(config, place.progress, place.device)
    task = setup.task
    folder.write_json("split.json", {"test_images": len(task.test), "chance": guess_quality(setup)})
    times = folder.keep("times.json", SharedTimes, lambda: _measure_times(setup, place))
    _add_uniform(setup, references, folder, place)
    with training_pool(config, task, setup.network) as pool:
        subject = Subject(setup=setup, times=times, pool=pool)
        for number, job in enumerate(plan.jobs):
            place.progress.stage("comparison", number, len(plan.jobs), job.name)
            if job in jobs:
                rows.append(run_job(job, rows, subject, place))
                append_row(folder.path / ROWS, rows[-1])


def _measure_times(setup: NetworkSetup, place: Workplace) -> SharedTimes:
    graph, widths = graph_of(setup.network), setup.widths
    report = choose_tiles(place.device, graph, widths, partial(place.progress.stage, "tiles"))
    print(report.sentence, flush=True)
    table, uniform = measure_times(setup, place.device, place.store, place.progress)
    return SharedTimes(table=table, uniform=uniform)


def _add_uniform(
    setup: NetworkSetup,
    known: set[tuple[int, int]],
    folder: CompareFolder,
    place: Workplace,
) -> None:
    """Retrain and time the uniform allocations that every table and figure shows."""
    config, final = setup.config, FinalScores(setup, place.store)
    for bits, allocation in reported_uniform(setup.space).items():
        if (bits, config.seed) in known:
            continue
        timed = time_beside_all_8(allocation, setup, place.device)
        answer = answer_of(timed, final)
        append_row(folder.path / UNIFORM, UniformRow(bits=bits, seed=config.seed, answer=answer))


def _comparison(
    plan: Plan, base: RunConfig, folder: CompareFolder, command: str, device: Device
) -> Comparison:
    jobs = set(plan.jobs)
    rows = [row for row in read_rows(folder.path / ROWS, Row) if _job_of(row) in jobs]
    split = folder.read_json("split.json")
    order = {job: number for number, job in enumerate(plan.jobs)}
    return Comparison(
        plan=plan,
        task=base.task.name,
        machine=dict(device.facts()),
        command=command,
        commit=folder.read_json(files.ENVIRONMENT)["git"],
        source=device.source,
        rows=tuple(sorted(rows, key=lambda row: order[_job_of(row)])),
        uniform=tuple(
            row for row in read_rows(folder.path / UNIFORM, UniformRow) if row.seed < plan.seeds
        ),
        chance=split["chance"] if "chance" in split else 1.0 / split["classes"],  # of before
        test_images=split["test_images"],
        settings={
            "bit_choices": list(base.env.bit_choices),
            "layers": list(base.env.layers),
            "finetune": asdict(base.env.finetune),
            "final": asdict(base.final),
            "protocol": asdict(base.protocol),
        },
    )


def _command(options: CompareOptions) -> None:
    base = options.config
    usual = RunConfig().output
    if options.truth or options.claim:
        _on_truth(options, Path(base.output if base.output != usual else f"{usual}/compare-truth"))
        return
    check_named(base.train.ray)
    plan = Plan(
        methods=options.methods,
        budgets=options.budgets,
        seeds=options.seeds,
        evaluations=base.evaluations,
    )
    path = Path(base.output if base.output != usual else f"{usual}/compare-{base.task.name}")
    with LiveProgress(quiet=base.quiet) as progress:
        comparison = compare(plan, base, path, options.typed, progress)
        progress.stage("comparison", len(plan.jobs), len(plan.jobs))
    folder = CompareFolder(path)
    folder.write_json("comparison.json", comparison)
    folder.write_text("comparison.csv", rows_csv(comparison.rows, comparison.all_8_ms))
    _write_figures(comparison, path / "comparison")
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        CompareFolder(options.json.parent).write_json(options.json.name, comparison)
        _write_figures(comparison, options.json.with_suffix(""))
    print_whole(draw_answers(comparison), draw_pairs(comparison), draw_costs(comparison))
    print(f"written to {path}")


def _on_truth(options: CompareOptions, folder: Path) -> None:
    claim = (
        read_claim(options.claim)
        if options.claim
        else Claim(
            tables=options.truth,
            methods=options.methods,
            budgets=options.budgets,
            evaluations=options.at,
            seeds=options.seeds,
            fewer_seeds={},
        )
    )
    with LiveProgress(quiet=options.config.quiet) as progress:
        compare_on_truth(
            claim,
            options.config,
            folder,
            options.typed,
            progress,
            claim_file=options.claim,
            json_file=options.json,
        )


def _write_figures(comparison: Comparison, stem: Path) -> None:
    for name, chart_of in CHARTS.items():
        data, _, _ = png_bytes(draw_chart(chart_of(comparison)))
        stem.with_name(f"{stem.name}-{name}.png").write_bytes(data)


def _job_of(row: Row) -> Job:
    return Job(method=row.method, seed=row.seed, budget=row.budget)
