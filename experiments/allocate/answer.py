"""Answer: the best bits inside a budget, and everything that is said with them, wherever it is."""

from dataclasses import dataclass

from agents.answer_budget import Predicted, answer_budget
from agents.judging.beliefs import Beliefs
from env.decisions.budget import Budget, BudgetConfig
from env.errors import BudgetError
from experiments.errors import RunFolderError
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.stages.resource_budget import UniformFigures, decide_budget
from experiments.zero_shot.familiar import Distance
from experiments.zero_shot.unseen import Unseen, policy_version
from quant.allocation import Allocation
from quant.layers import MAX_BITS
from quant.objective.metric import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An allocation and what is said of it, by the command and by the service alike."""

    predicted: bool
    """Always true: nothing of it was retrained or measured."""
    allocation: Allocation
    budget: Budget
    metric: Metric
    score: float | None
    """None for a network whose float score nobody knows."""
    lost: float
    """Quality lost against all-8; 0.01 is a point of accuracy."""
    latency_ms: float
    times: str
    """Where milliseconds come from, in words."""
    energy_mj: float | None
    """None where there was no meter."""
    model_bytes: int
    policy: str
    """The policy that answered; empty for an integer program."""
    policy_version: str
    """Of the shipped policy, with the package's version."""
    evaluations: int
    """How many taught the model; 0 for a network that nobody searched."""
    prior: str
    """Where the model's prior comes from, in words."""
    distance: Distance | None
    """From the networks that the policy knows; None for a run, which knows its own."""


def allocate(record: RunRecord, config: BudgetConfig) -> Predicted:
    """Return the best allocation inside a budget, as a run's own model predicts it.

    Args:
        record: Of a finished run whose answer was a model's.
        config: At least one limit of it is set, and no accuracy.

    Raises:
        RunFolderError: the run has no model.
        BudgetError: no allocation is inside.
    """
    return answer(beliefs_from(record), config)


def answer(beliefs: Beliefs, config: BudgetConfig) -> Predicted:
    """Return the same by beliefs of any network, of one that nobody searched too."""
    return answer_budget(beliefs, _budget(beliefs, config))


def beliefs_from(record: RunRecord) -> Beliefs:
    """Return what a run believes.

    Raises:
        RunFolderError: it has no model, as the scores alone said what was best.
    """
    if record.beliefs is None:
        raise RunFolderError(
            f"{record.path}: expected a run whose answer is a model's, found no {files.BELIEFS}",
            "runs of ppo, of bayes and of any method with --METHOD.posterior write it",
        )
    return record.beliefs


def say(found: Predicted, beliefs: Beliefs, unseen: Unseen | None = None) -> Answer:
    """Return everything that is said of a predicted allocation.

    Args:
        found: The allocation.
        beliefs: What predicted it.
        unseen: What else is known of the network, where nobody searched it.
    """
    return Answer(
        predicted=found.predicted,
        allocation=found.allocation,
        budget=found.budget,
        metric=beliefs.metric,
        score=found.score if unseen is None else None,
        lost=float(beliefs.losses([found.allocation])[0]),
        latency_ms=found.latency_ms,
        times=f"{beliefs.table.source}, by layer" if unseen is None else unseen.times,
        energy_mj=found.energy_mj,
        model_bytes=found.model_bytes,
        policy=beliefs.policy,
        policy_version=policy_version(),
        evaluations=beliefs.evaluations,
        prior=beliefs.prior,
        distance=None if unseen is None else unseen.distance,
    )


def _budget(beliefs: Beliefs, config: BudgetConfig) -> Budget:
    if config.accuracy_drop is not None:
        raise BudgetError(
            "budget.accuracy_drop: expected a limit of time, bytes or energy, found one of score",
            "without a budget, the front shows what each time would lose",
        )
    if config == BudgetConfig():
        raise BudgetError("expected a limit of time, bytes or energy, found none")
    all_8 = beliefs.all_8
    if config.energy_key and beliefs.energy_mj(all_8) is None:
        raise BudgetError(f"{config.energy_key}: the run had no energy meter")
    uniform = {
        bits: UniformFigures(
            latency_ms=beliefs.latency_ms(allocation),
            model_bytes=beliefs.model_bytes(allocation),
            energy_mj=beliefs.energy_mj(allocation),
        )
        for bits, allocation in (beliefs.space.uniforms() | {MAX_BITS: all_8}).items()
    }
    return decide_budget(config, uniform, beliefs.metric).budget
