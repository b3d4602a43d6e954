"""Problem: everything that is measured before a search, and the SearchProblem made of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from agents.search import SearchProblem
from env.bit_allocation import BitAllocationEnv
from env.decisions.costs import cost_table
from env.decisions.masks import BudgetMask
from env.evaluating.accounting import Ledger
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.stored_accuracies import StoredAccuracies, code_digest, network_digest
from env.sensitivity.stored_sensitivities import StoredSensitivities
from experiments.record.shared_weights import SharedWeights
from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.resource_budget import DecidedBudget, UniformFigures, decide_budget
from experiments.stages.side_by_side import time_side_by_side
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.errors import BuildError
from hardware.layers.table import LayerTable
from hardware.measuring.host_facts import standing_facts
from hardware.measuring.lock import training_lock
from hardware.store import Store
from hardware.stored_device import StoredDevice
from quant.allocation import Allocation
from quant.convert import convert
from quant.deploy_graph import DeployGraph
from quant.layers import MAX_BITS, LayerSpec
from quant.network import QuantizedNetwork
from quant.sensitivities import SensitivityTable, measured_sensitivity
from quant.sensitivities.batches import batches_of

__all__ = [
    "Measured",
    "anchored",
    "graph_of",
    "make_evaluator",
    "make_problem",
    "measure_device",
    "measure_sensitivity",
    "measure_times",
    "measured_widths",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What is known of device and network before the first evaluation."""

    table: LayerTable
    sensitivity: SensitivityTable
    decided: DecidedBudget


def graph_of(network: QuantizedNetwork, allocation: Allocation) -> DeployGraph:
    """Convert a network at an allocation; enough for timing, which depends on bits alone."""
    network.set_allocation(allocation)
    return convert(network)


def measured_widths(config: RunConfig) -> list[int]:
    """Return the widths that are measured: those that may be chosen, and 8 for the reference."""
    return sorted({*config.env.bit_choices, MAX_BITS})


def measure_device(
    config: RunConfig,
    setup: NetworkSetup,
    device: Device,
    stored: StoredDevice,
    progress: LiveProgress,
) -> Measured:
    """Measure the layer table and the uniform allocations, and decide the budget.

    The layer table may come from the store; the uniform allocations, which the budget is made
    of, are timed now and beside each other.

    Raises:
        BudgetError: no allocation meets the budget; names the smallest reachable value.
        BuildError: a uniform allocation cannot be measured on this device.
        HardwareLostError: the device is gone.
    """
    table, uniform = measure_times(config, setup, device, stored, progress)
    sensitivity = measure_sensitivity(config, setup, progress)
    decided = decide_budget(config.budget, uniform)
    # Before anything is trained: a budget that nobody can meet is the user's to mend.
    layers = setup.network.layers
    costs = cost_table(layers, table, config.env.bit_choices)
    BudgetMask(layers, costs, config.env.bit_choices, decided.budget)
    return Measured(table=table, sensitivity=sensitivity, decided=decided)


def measure_times(
    config: RunConfig,
    setup: NetworkSetup,
    device: Device,
    stored: StoredDevice,
    progress: LiveProgress,
) -> tuple[LayerTable, dict[int, UniformFigures]]:
    """Measure the layer table and the uniform allocations, `{bits: figures}`; no weights matter.

    Raises:
        BuildError: a uniform allocation cannot be measured on this device.
        HardwareLostError: the device is gone.
    """
    network = setup.network
    widths = measured_widths(config)
    table = stored.layer_table(
        graph_of(network, Allocation.uniform(network.layers, MAX_BITS)),
        widths,
        lambda done, total, what: progress.stage("layer table", done, total, what),
    )
    graphs = {bits: graph_of(network, Allocation.uniform(network.layers, bits)) for bits in widths}
    timed = time_side_by_side(
        device,
        graphs,
        progress=lambda done, total: progress.stage("uniform allocations", done, total),
    )
    uniform = {
        bits: UniformFigures(
            latency_ms=measurement.median_ms,
            model_bytes=graphs[bits].weight_bytes(),
            energy_mj=measurement.energy_mj,
        )
        for bits, measurement in timed.items()
    }
    return anchored(table, network.layers, uniform), uniform


def measure_sensitivity(
    config: RunConfig, setup: NetworkSetup, progress: LiveProgress
) -> SensitivityTable:
    """Measure how much the loss rises with each tensor at each width, on the search split."""
    with training_lock():
        return measured_sensitivity(
            setup.network,
            batches_of(setup.task.search.images, setup.task.search.labels, size=256),
            measured_widths(config),
            progress=lambda done, total: progress.stage("sensitivities", done, total),
        )


def anchored(
    table: LayerTable, layers: Sequence[LayerSpec], uniform: Mapping[int, UniformFigures]
) -> LayerTable:
    """Scale the table so that it predicts what the cheapest uniform allocation takes now.

    That is the fastest for times, and the one that takes least for energies.
    Table and programs may have been timed while the machine ran at different speeds, and budgets
    are made of the programs: unscaled, a budget that was just seen to be reachable could look
    impossible.
    """
    fastest = min(uniform, key=lambda bits: uniform[bits].latency_ms)
    predicted_ms = table.predict_ms(Allocation.uniform(layers, fastest))
    table = table.scaled(uniform[fastest].latency_ms / predicted_ms)
    energies = {bits: item.energy_mj for bits, item in uniform.items() if item.energy_mj}
    if not energies:
        return table
    frugal = min(energies, key=lambda bits: energies[bits])
    predicted_mj = table.predict_mj(Allocation.uniform(layers, frugal))
    assert predicted_mj is not None
    return table.with_scaled_energies(energies[frugal] / predicted_mj)


def make_evaluator(
    config: RunConfig,
    setup: NetworkSetup,
    device: Device,
    past: Sequence[Evaluation],
    store: Store,
    state: SharedWeights,
    recorder: Callable[[Evaluation], None],
) -> tuple[Evaluator, Evaluation]:
    """Return the search's evaluator, and its first evaluation: the all-8-bit reference.

    Each finished evaluation first leaves its weights on the disk, then its record.

    Raises:
        BuildError: the reference cannot be trained or measured.
        RunFolderError: the weights that the past evaluations left cannot be read.
    """
    shared = config.env.weights == "shared"  # else every evaluation starts from the same weights

    def save(evaluation: Evaluation) -> None:
        state.save(evaluator.network, evaluation.index + 1)

    def forget_older(evaluation: Evaluation) -> None:
        state.keep_only(evaluation.index + 1)

    evaluator = Evaluator(
        setup.network.clone(),
        device,
        setup.task.train,
        setup.task.search,
        config.env,
        seed=config.seed,
        limit=config.evaluations,
        past=past,
        accuracies=StoredAccuracies(store, accuracy_key(config, setup)),
        on_evaluation=[save, recorder, forget_older] if shared else [recorder],
    )
    if past and shared:
        state.load(evaluator.network, len(past))
    evaluator.proposer = "reference"
    reference = evaluator.evaluate([Allocation.uniform(setup.network.layers, MAX_BITS)])[0]
    if reference.error:
        raise BuildError(f"the all-8-bit reference cannot be measured: {reference.error}")
    return evaluator, reference


def accuracy_key(config: RunConfig, setup: NetworkSetup) -> dict[str, Any]:
    """Return everything but the allocation that decides an accuracy from the float checkpoint."""
    return {
        "task": asdict(config.task),
        "network": network_digest(setup.network),
        "calibration_images": config.env.calibration_images,
        "finetune": asdict(config.env.finetune),
        "accuracy_on": config.env.accuracy_on,
        "seed": config.seed,
        "search_images": len(setup.task.search),
        "code": code_digest(),
        "cpu": standing_facts()["cpu"],
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
    }


def make_problem(
    config: RunConfig,
    setup: NetworkSetup,
    measured: Measured,
    evaluator: Evaluator,
    reference: Evaluation,
    store: Store,
    progress: LiveProgress,
    log_folder: Path,
    state_folder: Path,
) -> SearchProblem:
    """Put together what the search methods may look at."""
    layers, ledger = setup.network.layers, Ledger()
    sensitivities = StoredSensitivities(
        setup.network,
        setup.task.train,
        config.env.sensitivity,
        store,
        ledger,
        lambda name, done, total: progress.stage(f"{name} sensitivity", done, total),
    )

    def make_env() -> BitAllocationEnv:
        return BitAllocationEnv(
            layers=layers,
            bit_choices=config.env.bit_choices,
            budget=measured.decided.budget,
            evaluator=evaluator,
            table=measured.table,
            sensitivities=measured.sensitivity.rises,
            reference=reference,
            reward_config=config.reward,
        )

    return SearchProblem(
        layers=layers,
        bit_choices=config.env.bit_choices,
        budget=measured.decided.budget,
        evaluator=evaluator,
        table=measured.table,
        reference=reference,
        make_env=make_env,
        prepare=setup.network.clone,
        sensitivities=sensitivities,
        ledger=ledger,
        train=setup.task.train,
        search=setup.task.search,
        reward=config.reward,
        ppo=config.ppo,
        mckp=config.mckp,
        ompq=config.ompq,
        hawq=config.hawq,
        amed=config.amed,
        qbitopt=config.qbitopt,
        haq=config.haq,
        nsga2=config.nsga2,
        log_folder=log_folder,
        state_folder=state_folder,
    )
