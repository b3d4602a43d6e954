"""Search: one method in one folder, from what was measured to its candidates and what they cost."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from agents.methods import METHODS
from agents.search import SearchProblem, SearchResult
from env.bit_allocation import BitAllocationEnv
from env.errors import BudgetError
from env.evaluating.accounting import Accounting, Ledger, account, spent_s
from env.evaluating.evaluation import Evaluation
from env.evaluating.evaluator import Evaluator
from env.evaluating.stored_accuracies import StoredAccuracies, code_digest, network_digest
from env.evaluating.training_pool import Pool
from env.sensitivity.stored_sensitivities import StoredSensitivities
from env.tasks.own_function import source_of
from experiments.record.shared_weights import SharedWeights
from experiments.stages.env_sensitivities import EnvSensitivities
from experiments.stages.measured import Measured
from experiments.stages.network_setup import NetworkSetup
from experiments.stages.places import Places
from experiments.stages.recorder import Recorder
from hardware.errors import BuildError
from hardware.layers.table import LayerTable
from hardware.measuring.host_facts import standing_facts
from hardware.stored_device import StoredDevice
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.tensors.devices import CPU, describe
from quant.tensors.moving import device_of

_logger = logging.getLogger(__name__)
HELD_AGAINST = frozenset({"reference", "uniform"})
"""Proposers, before the method itself, of what its own allocations are held against."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Searched:
    """What a search leaves."""

    problem: SearchProblem
    """With its evaluator, which has everything that was evaluated."""
    result: SearchResult
    used: Accounting
    unmet: BudgetError | None = None
    """Why there are no candidates, where the method finds nothing inside the budget."""


def search(
    setup: NetworkSetup,
    measured: Measured,
    places: Places,
    past: Sequence[Evaluation] = (),
    pool: Pool | None = None,
) -> Searched:
    """Search by the configured method; each evaluation is recorded when it finishes.

    Args:
        setup: The network, the data, and in its configuration method, limit, seed and reward.
        measured: Layer table and the budget.
        places: Where to measure and to write.
        past: What an earlier part of the same search evaluated.
        pool: Who retrains candidates and computes losses; None: this process.

    Raises:
        BuildError: the reference cannot be trained or measured.
        RunFolderError: the weights that past evaluations left cannot be read.
        HardwareLostError: the device is gone.
    """
    config = setup.config
    started = time.monotonic()
    shown = EnvSensitivities(setup, places, pool)
    problem = pose(setup, measured, places, shown, past, pool)
    _logger.info("the reference: %.1f s", time.monotonic() - started)
    unmet = None
    try:
        method = METHODS[config.method]
        result = method.search(problem, config.method_settings, seed=config.seed)
    except BudgetError as error:
        result, unmet = SearchResult(candidates=()), error
    _warn_of_silence(problem, config.method)
    # Which run measures what environments show is chance: the store has it for all later ones.
    wall_s = time.monotonic() - started - shown.seconds
    _logger.info("the search: %.1f s", wall_s)
    used = account(problem.evaluator.evaluations, problem.ledger, spent_s(past) + wall_s)
    return Searched(problem=problem, result=result, used=used, unmet=unmet)


def pose(
    setup: NetworkSetup,
    measured: Measured,
    places: Places,
    shown: EnvSensitivities,
    past: Sequence[Evaluation] = (),
    pool: Pool | None = None,
) -> SearchProblem:
    """Evaluate the reference, and return what there is to solve.

    Args:
        setup: The network, the data, and the configuration.
        measured: Layer table and the budget.
        places: Where to measure and to write.
        shown: What environments show of sensitivities, measured when one is made.
        past: What an earlier part of the same search evaluated.
        pool: Who retrains candidates and computes losses; None: this process.

    Raises:
        BuildError: the reference cannot be trained or measured.
        RunFolderError: the weights that past evaluations left cannot be read.
        HardwareLostError: the device is gone.
    """
    weights = SharedWeights(places.folder.path)
    recorder = Recorder(setup.config, measured, places, past)
    evaluator = _evaluator(setup, places, past, weights, recorder, measured.table, pool)
    evaluator.proposer = "reference"
    reference = evaluator.evaluate([Allocation.uniform(setup.network.layers, MAX_BITS)])[0]
    if reference.error:
        raise BuildError(f"the all-8-bit reference cannot be measured: {reference.error}")
    _warn_of_reference(evaluator, setup)
    return _problem(
        setup, measured, places, evaluator, reference, shown, weights.state_folder, pool
    )


def accuracy_key(setup: NetworkSetup) -> dict[str, Any]:
    """Return everything but the allocation that decides an accuracy from the float checkpoint."""
    config = setup.config
    return {
        "task": asdict(config.task),
        "data": [split.digest for split in (setup.task.train, setup.task.search)],
        "augment": None if setup.task.augment is None else source_of(setup.task.augment),
        "network": network_digest(setup.network),
        "calibration_images": config.env.calibration_images,
        "finetune": asdict(config.env.finetune),
        "objective": setup.task.objective.key,
        "weights": config.env.weights,
        **_staged_key(setup),
        **_device_key(setup),
        **config.env.arithmetic_key,
        "accuracy_on": config.env.accuracy_on,
        "seed": config.seed,
        "search_images": len(setup.task.search),
        "code": code_digest(),
        "cpu": standing_facts()["cpu"],
        "threads": torch.get_num_threads(),
        "torch": version("torch"),
    }


def _device_key(setup: NetworkSetup) -> dict[str, Any]:
    """Return what decides an accuracy beside the CPU, where something else trains."""
    device = device_of(setup.network)
    return {} if device == CPU else {"device": describe(device)}


def _staged_key(setup: NetworkSetup) -> dict[str, Any]:
    """Return what decides an accuracy where the retraining is spread over the decisions."""
    if setup.config.env.retrain == "end":
        return {}
    return {"stages": list(map(str, setup.space.decisions))}


def _evaluator(
    setup: NetworkSetup,
    places: Places,
    past: Sequence[Evaluation],
    weights: SharedWeights,
    recorder: Recorder,
    table: LayerTable,
    pool: Pool | None,
) -> Evaluator:
    """Return an evaluator that writes each evaluation's weights to the disk, then its record."""
    config = setup.config
    shared = config.env.weights == "shared"  # else every evaluation starts from the same weights

    def save(evaluation: Evaluation) -> None:
        weights.save(evaluator.network, evaluation.index + 1)

    def forget_older(evaluation: Evaluation) -> None:
        weights.keep_only(evaluation.index + 1)

    evaluator = Evaluator(
        setup.network.clone(),
        StoredDevice(places.device, places.store, config.protocol, table),
        setup.task.train,
        setup.task.search,
        config.env,
        seed=config.seed,
        limit=config.evaluations,
        objective=setup.task.objective,
        past=past,
        augment=setup.task.augment,
        accuracies=StoredAccuracies(places.store, accuracy_key(setup)),
        on_evaluation=[save, recorder, forget_older] if shared else [recorder],
        pool=pool,
        proposals=config.train.proposals,
    )
    if past and shared:
        weights.load(evaluator.network, len(past))
    return evaluator


def _problem(
    setup: NetworkSetup,
    measured: Measured,
    places: Places,
    evaluator: Evaluator,
    reference: Evaluation,
    shown: EnvSensitivities,
    state_folder: Path,
    pool: Pool | None,
) -> SearchProblem:
    """Put together what the methods may look at."""
    config, space, ledger = setup.config, setup.space, Ledger()
    sensitivities = StoredSensitivities(
        setup.network,
        setup.task.train,
        config.env.sensitivity,
        places.store,
        ledger,
        lambda name, done, total: places.progress.stage(f"{name} sensitivity", done, total),
        setup.task.objective.loss,
        pool,
    )

    def make_env() -> BitAllocationEnv:
        return BitAllocationEnv(
            space=space,
            budget=measured.decided.budget,
            evaluator=evaluator,
            table=measured.table,
            sensitivities=shown.table().rises,
            reference=reference,
            reward_config=config.reward,
            looks=config.env.retrain == "during",
        )

    return SearchProblem(
        space=space,
        budget=measured.decided.budget,
        evaluator=evaluator,
        table=measured.table,
        reference=reference,
        make_env=make_env,
        prepare=setup.network.clone,
        retrainer=setup.retrainer,
        sensitivities=sensitivities,
        ledger=ledger,
        train=setup.task.train,
        search=setup.task.search,
        objective=setup.task.objective,
        reward=config.reward,
        say=_say,
        log_folder=places.folder.events,
        state_folder=state_folder,
    )


def _warn_of_reference(evaluator: Evaluator, setup: NetworkSetup) -> None:
    """Say before the search if the reference, which all is compared with, lost to float."""
    beside = evaluator.beside_reference(setup.float_search_scores())
    if beside is None or beside.score_se is None:
        return
    metric = setup.task.objective.metric
    worse, side = (beside.score, "below") if metric.more_is_better else (-beside.score, "above")
    if worse > beside.score_se:
        _say(
            f"the all-8-bit reference is {metric.error(worse)} ± {metric.error(beside.score_se)} "
            f"{metric.difference_unit or metric.name} {side} the float network on the search "
            "split: what the search finds is compared with it. More steps (--env.finetune.steps), "
            "more images to round over (--env.finetune.compensation-images) or to calibrate on "
            "(--env.calibration-images) may help"
        )


def _warn_of_silence(problem: SearchProblem, method: str) -> None:
    """Say if the uniform allocations took all evaluations, and the method itself none."""
    evaluator = problem.evaluator
    proposers = {evaluation.proposer for evaluation in evaluator.evaluations}
    if method != "uniform" and not evaluator.remaining and proposers <= HELD_AGAINST:
        _say(
            f"all {len(evaluator.evaluations)} evaluations went to uniform allocations, which come "
            f"first: {method} proposed nothing. More of them (--evaluations) let it"
        )


def _say(sentence: str) -> None:
    print(sentence, flush=True)
    _logger.warning(sentence)
