"""Beliefs: what a finished search knows of every allocation, enough to answer other budgets."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from agents.search import SearchProblem
from env.decisions.costs import model_bytes
from env.decisions.decisions import DecisionSpace
from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from env.practice.scales import Scales, measured_over_predicted
from env.responses.columns import Floats
from env.responses.posterior import ResponsePosterior
from env.responses.table_losses import table_losses
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import MAX_BITS, LayerSpec
from quant.objective.metric import Metric


@dataclass(frozen=True, kw_only=True)
class Beliefs:
    """A network's layers, their measured times, and what each width is believed to lose.

    All that is said of an allocation by it is predicted: times are the layer table's, scaled as
    whole programs were found to be; scores are a model's (`agents.judging.answer`).
    """

    layers: tuple[LayerSpec, ...]
    bit_choices: tuple[int, ...]
    rules: tuple[str, ...]
    """What the user said of single layers."""
    table: LayerTable
    scales: Scales
    """Whole programs beside the table's sums."""
    responses: tuple[tuple[float | None, ...], ...]
    """Mean quality lost of each decision at each of the space's widths; None where not offered."""
    fixed_loss: float = 0.0
    """Mean quality lost by what rules fix below 8 bits."""
    metric: Metric
    reference_score: float
    """Of all-8."""
    noise: float
    """Median of what one retraining adds to a quality."""
    prior: str
    """Where the model's prior comes from, in words."""
    evaluations: int
    """How many taught it."""
    policy: str = ""
    """Weights of the policy that proposed, as configured; empty where none did."""

    @cached_property
    def space(self) -> DecisionSpace:
        """What may be decided."""
        return decision_space(self.layers, self.bit_choices, parse_rules(self.rules))

    @cached_property
    def mean_table(self) -> Floats:
        """Responses, `[decisions, len(space.widths)]`; NaN for widths not offered."""
        return np.array(self.responses, dtype=np.float64)

    @cached_property
    def all_8(self) -> Allocation:
        """What all is compared with."""
        return Allocation.uniform(self.layers, MAX_BITS)

    def losses(self, allocations: Sequence[Allocation]) -> Floats:
        """Return the mean quality lost of allocations of the space, `[allocations]`."""
        return self.fixed_loss + table_losses(self.space, self.mean_table, allocations)

    def score(self, allocation: Allocation) -> float:
        """Return the score that an allocation is believed to have."""
        lost = float(self.losses([allocation])[0])
        return self.metric.score(self.metric.quality(self.reference_score) - lost)

    def latency_ms(self, allocation: Allocation) -> float:
        """Return the milliseconds that an allocation is believed to take."""
        return self.scales.latency * self.table.predict_ms(allocation)

    def energy_mj(self, allocation: Allocation) -> float | None:
        """Return the millijoules likewise; None where there was no meter."""
        found = self.table.predict_mj(allocation)
        return None if found is None else self.scales.energy * found

    def model_bytes(self, allocation: Allocation) -> int:
        """Return the size of an allocation, which is known."""
        return model_bytes(self.layers, allocation)


def beliefs_of(problem: SearchProblem, posterior: ResponsePosterior, policy: str) -> Beliefs:
    """Return what a search believes at its end.

    Args:
        problem: What was searched.
        posterior: Of its evaluations.
        policy: The weights that proposed, as configured; empty where none did.
    """
    table, space = posterior.mean_table, problem.space
    some = space.allocation([decision.menu[-1] for decision in space.decisions])
    (decided,) = table_losses(space, table, [some])
    return Beliefs(
        layers=space.layers,
        bit_choices=space.bit_choices,
        rules=space.rules,
        table=problem.table,
        scales=measured_over_predicted(problem.evaluator.evaluations, problem.table),
        responses=tuple(
            tuple(None if np.isnan(value) else float(value) for value in row) for row in table
        ),
        fixed_loss=float(posterior.summed_losses([some])[0] - decided),
        metric=problem.reference.metric,
        reference_score=problem.reference.score,
        noise=posterior.noise,
        prior=posterior.prior.source,
        evaluations=len(posterior.observed),
        policy=policy,
    )
