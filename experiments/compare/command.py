"""python -m experiments.compare: all methods on one task and one device, and who wins where."""

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from agents.methods import METHODS
from experiments.charts.draw import draw_chart, png_bytes
from experiments.compare.answer import answer_of, time_beside_all_8
from experiments.compare.comparison import Comparison
from experiments.compare.figures import CHARTS
from experiments.compare.folder import ROWS, UNIFORM, CompareFolder
from experiments.compare.job import Place, Subject, run_job
from experiments.compare.plan import DEFAULT_BUDGETS, Job, Plan
from experiments.compare.rows import Row, UniformRow, append_row, read_rows, rows_csv
from experiments.compare.shared import SharedTimes
from experiments.compare.tables import draw_answers, draw_costs
from experiments.record import files
from experiments.record.environment_facts import command_line, environment_facts
from experiments.record.run_lock import run_lock
from experiments.settings.load import load_config
from experiments.settings.run_config import RunConfig
from experiments.stages.conclusion import reported_uniform
from experiments.stages.measured import graph_of, measure_sensitivity, measure_times
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.resume import check_same_machine
from experiments.terminal.exit_codes import run_command
from experiments.terminal.progress import LiveProgress
from experiments.terminal.stop_signals import terminate_as_interrupt
from hardware.device import Device
from hardware.measure_layers import choose_tiles
from hardware.open_device import open_device
from hardware.store import Store
from quant.sensitivities import SensitivityTable

__all__ = ["compare", "main"]


def main(arguments: Sequence[str]) -> int:
    """Compare methods and return the exit code."""
    known, rest = _parser().parse_known_args(list(arguments))
    command = command_line("experiments.compare", arguments)
    return run_command(lambda: _command(known, rest, command))


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
        closing(open_device(base.device_target, base.protocol, base.energy)) as device,
    ):
        if (path / files.ENVIRONMENT).exists():
            check_same_machine(folder, device.facts())
        else:
            folder.write_json(files.ENVIRONMENT, environment_facts(device.facts()))
        place = Place(folder=path / "jobs", device=device, store=store)
        for seed in range(plan.seeds):
            _do_seed(plan, replace(base, seed=seed), folder, place, progress)
        return _comparison(plan, base, folder, command, device)


def _do_seed(
    plan: Plan, config: RunConfig, folder: CompareFolder, place: Place, progress: LiveProgress
) -> None:
    rows = {_job_of(row) for row in read_rows(folder.path / ROWS, Row)}
    references = {(row.bits, row.seed) for row in read_rows(folder.path / UNIFORM, UniformRow)}
    jobs = [job for job in plan.jobs if job.seed == config.seed and job not in rows]
    if not jobs and any(seed == config.seed for _, seed in references):
        return
    setup = set_up_network(config, progress)
    task = setup.task
    folder.write_json("split.json", {"test_images": len(task.test), "classes": task.classes})
    times = folder.keep("times.json", SharedTimes, lambda: _measure_times(setup, place, progress))
    sensitivity = folder.keep(
        f"sensitivities__s{config.seed}.json",
        SensitivityTable,
        lambda: measure_sensitivity(setup, progress),
    )
    _add_uniform(setup, references, folder, place)
    subject = Subject(setup=setup, sensitivity=sensitivity, times=times)
    for number, job in enumerate(plan.jobs):
        progress.stage("comparison", number, len(plan.jobs), job.name)
        if job in jobs:
            append_row(folder.path / ROWS, run_job(job, subject, place))


def _measure_times(setup: NetworkSetup, place: Place, progress: LiveProgress) -> SharedTimes:
    graph, widths = graph_of(setup.network), setup.widths
    report = choose_tiles(place.device, graph, widths, partial(progress.stage, "tiles"))
    print(report.sentence, flush=True)
    table, uniform = measure_times(setup, place.device, place.store, progress)
    return SharedTimes(table=table, uniform=uniform)


def _add_uniform(
    setup: NetworkSetup,
    known: set[tuple[int, int]],
    folder: CompareFolder,
    place: Place,
) -> None:
    """Retrain and time the uniform allocations that every table and figure shows."""
    config = setup.config
    for allocation in reported_uniform(setup.network.layers, config.env.bit_choices).values():
        bits = max(layer.weight_bits for _, layer in allocation.items)
        if (bits, config.seed) in known:
            continue
        timed = time_beside_all_8(allocation, setup, place.device)
        answer = answer_of(timed, setup, place.store)
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
        source=device.source,
        rows=tuple(sorted(rows, key=lambda row: order[_job_of(row)])),
        uniform=tuple(
            row for row in read_rows(folder.path / UNIFORM, UniformRow) if row.seed < plan.seeds
        ),
        chance=1.0 / split["classes"],
        test_images=split["test_images"],
        settings={
            "bit_choices": list(base.env.bit_choices),
            "finetune": asdict(base.env.finetune),
            "final": asdict(base.final),
            "protocol": asdict(base.protocol),
        },
    )


def _command(known: argparse.Namespace, rest: Sequence[str], command: str) -> None:
    arguments = [*rest, f"--evaluations={known.evaluations}"]
    if known.task:
        arguments.append(f"--task.name={known.task}")
    base = load_config(arguments)
    plan = Plan(
        methods=tuple(known.methods),
        budgets=tuple(known.budgets),
        seeds=known.seeds,
        evaluations=known.evaluations,
    )
    path = known.output or Path("runs") / f"compare-{base.task.name}"
    with terminate_as_interrupt(), LiveProgress(quiet=base.quiet) as progress:
        comparison = compare(plan, base, path, command, progress)
        progress.stage("comparison", len(plan.jobs), len(plan.jobs))
    folder = CompareFolder(path)
    folder.write_json("comparison.json", comparison)
    folder.write_text("comparison.csv", rows_csv(comparison.rows, comparison.all_8_ms))
    _write_figures(comparison, path / "comparison")
    if known.json is not None:
        known.json.parent.mkdir(parents=True, exist_ok=True)
        CompareFolder(known.json.parent).write_json(known.json.name, comparison)
        _write_figures(comparison, known.json.with_suffix(""))
    console = Console()
    console.print(draw_answers(comparison))
    console.print(draw_costs(comparison))
    print(f"written to {path}")


def _write_figures(comparison: Comparison, stem: Path) -> None:
    for name, chart_of in CHARTS.items():
        data, _, _ = png_bytes(draw_chart(chart_of(comparison)))
        stem.with_name(f"{stem.name}-{name}.png").write_bytes(data)


def _job_of(row: Row) -> Job:
    return Job(method=row.method, seed=row.seed, budget=row.budget)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.compare",
        description="Run every method under the same budgets, retraining and measurement. Each "
        "finished job is kept; the same command goes on where it was stopped. Other flags are "
        "those of python -m experiments.run, for example --final.steps 300.",
        allow_abbrev=False,
    )
    parser.add_argument("--task", metavar="NAME", help="short for --task.name")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=list(METHODS),
        metavar="NAME",
        help=f"of {', '.join(METHODS)}; all by default",
    )
    parser.add_argument(
        "--budgets",
        nargs="+",
        type=float,
        default=list(DEFAULT_BUDGETS),
        metavar="SHARE",
        help="shares of the way from the fastest uniform allocation's time to all-8's; "
        "0.10 0.35 0.70 by default",
    )
    parser.add_argument(
        "--evaluations", type=int, default=24, help="limit of each search; 24 by default"
    )
    parser.add_argument("--seeds", type=int, default=3, help="0 to K - 1; 3 by default")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="runs/compare-TASK by default"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the figures, and pictures, there"
    )
    return parser
