"""python -m experiments.run: the main job, from a network to the bits it should have here."""

import logging
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from agents.methods import METHODS
from agents.search import SearchProblem
from experiments.config import RunConfig
from experiments.environment_facts import command_line, environment_facts
from experiments.event_log import EventLog
from experiments.exit_codes import run_command
from experiments.figures import draw_bits, draw_front
from experiments.layer_table_json import layer_table_document
from experiments.load_config import load_config
from experiments.network_setup import set_up_network
from experiments.outcome import Outcome, conclude
from experiments.pareto import pareto_csv
from experiments.problem import Measured, make_evaluator, make_problem, measure_device
from experiments.progress import LiveProgress
from experiments.recorder import Recorder
from experiments.results_table import draw_table, to_csv
from experiments.run_folder import RunFolder, write_config
from hardware.device import Device
from hardware.open_device import open_device

__all__ = ["main", "run"]

_logger = logging.getLogger("experiments.run")  # `__main__` when it is started


def main(arguments: Sequence[str]) -> int:
    """Run the job that the command line asks for and return the exit code."""
    return run_command(lambda: _announced(load_config(arguments), arguments))


def run(config: RunConfig, command: str) -> RunFolder:
    """Search, choose, and write the run's folder.

    Args:
        config: The resolved configuration.
        command: The command line, for the record.

    Raises:
        BitAllocError: something that a user can cause or cure.
        HardwareLostError: the device is gone.
    """
    folder = RunFolder.create(config, config.target.runner)
    print(f"run folder: {folder.path}", flush=True)
    handler = folder.open_log()
    device = open_device(config.target, config.protocol)
    try:
        write_config(folder, config)
        folder.write_text("command.txt", command)
        folder.write_json("environment.json", environment_facts(device.facts()))
        with LiveProgress(quiet=config.quiet) as progress, EventLog(folder.events) as events:
            _search(config, folder, device, progress, events)
    except BaseException as error:
        _logger.error("the run ended early: %r", error)
        raise
    finally:
        device.close()
        folder.close_log(handler)
    return folder


def _announced(config: RunConfig, arguments: Sequence[str]) -> None:
    folder = run(config, command_line("experiments.run", arguments))
    print(f"run folder: {folder.path}")
    print(f"curves: tensorboard --logdir {folder.events}")


def _search(
    config: RunConfig,
    folder: RunFolder,
    device: Device,
    progress: LiveProgress,
    events: EventLog,
) -> None:
    started = time.monotonic()
    setup = set_up_network(config, progress)
    _logger.info("float network and calibration: %.1f s", time.monotonic() - started)
    measured = measure_device(config, setup, device, progress)
    folder.write_json("layer_table.json", layer_table_document(measured.table))
    folder.write_json("sensitivities.json", measured.sensitivity.to_dict())
    _say(f"device: {device.name} ({device.source})")
    _say(f"budget: {measured.decided.budget}: {measured.decided.reason}")
    recorder = Recorder(
        folder=folder,
        events=events,
        progress=progress,
        table=measured.table,
        limit=config.evaluations,
        budget=measured.decided.budget,
        reward_config=config.env.reward,
    )
    evaluator, reference = make_evaluator(config, setup, device, [recorder])
    problem = make_problem(config, setup, measured, evaluator, reference, folder.events)
    _logger.info("everything before the search: %.1f s", time.monotonic() - started)
    result = METHODS[config.method](problem, seed=config.seed)
    _logger.info("with the search: %.1f s", time.monotonic() - started)
    outcome = conclude(
        problem,
        result,
        setup,
        device,
        lambda done, total: progress.stage("side by side", done, total),
    )
    _write_outcome(folder, events, problem, measured, outcome, time.monotonic() - started)


def _write_outcome(
    folder: RunFolder,
    events: EventLog,
    problem: SearchProblem,
    measured: Measured,
    outcome: Outcome,
    seconds: float,
) -> None:
    budget, best = measured.decided.budget, outcome.choice.evaluation
    evaluations = problem.evaluator.evaluations
    folder.write_text("best_allocation.json", best.allocation.to_json())
    folder.write_text("pareto.csv", pareto_csv(evaluations))
    folder.write_text("results.csv", to_csv(outcome.rows))
    document = {
        "split": "search",
        "budget": {"latency_ms": budget.latency_ms, "model_bytes": budget.model_bytes},
        "budget_reason": measured.decided.reason,
        "evaluations": len(evaluations),
        "seconds": seconds,
        **outcome.to_dict(),
    }
    folder.write_json("results.json", document)
    step = len(evaluations)
    events.figure("bits/chosen", draw_bits(best.allocation, "chosen"), step)
    events.figure("front/accuracy_latency", draw_front(evaluations, best, budget.latency_ms), step)
    for missed in outcome.choice.missed:
        _say(f"passed over: {missed.latency_ms:.4f} ms as measured, outside the budget")
    Console().print(draw_table(outcome.rows, budget, "search"))
    _say(f"{len(evaluations)} evaluations in {seconds / 60:.1f} minutes")


def _say(line: str) -> None:
    print(line, flush=True)
    _logger.info(line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
