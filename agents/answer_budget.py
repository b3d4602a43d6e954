"""answer_budget: the best allocation inside any budget, from what a finished search believes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agents.judging.beliefs import Beliefs
from agents.ppo.token_play import propose_tokens
from agents.ppo.token_weights import token_policy_of
from agents.solvers.cost_model import choices_within
from agents.solvers.exact import solve_exact
from agents.solvers.response_losses import response_losses
from env.decisions.budget import LEAST_GAIN, Budget
from env.decisions.costs import Resource, budget_between, cost_table
from env.errors import BudgetError
from env.token_view import table_view
from quant.allocation import Allocation

_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)
"""Budgets of a front, as shares of the way from the cheapest allocation to all-8."""
_SAMPLES = 512
_PAIRS = 57_600
"""Pairs of decisions, which the policy looks at in each step, of all samples together beyond which
fewer are drawn: an answer is wanted at once. Of 10 decisions all samples are left, of 120 only the
policy's choice, which loses more (of 20 drawn networks with 60 to 115 decisions 1.38 times the
least loss in the median, the best of 32 samples 1.18)."""
_SEED = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """An allocation and what it is believed to be; nothing of it was retrained or measured."""

    allocation: Allocation
    score: float
    latency_ms: float
    energy_mj: float | None
    model_bytes: int
    budget: Budget
    predicted: bool = True


def answer_budget(beliefs: Beliefs, budget: Budget) -> Predicted:
    """Return the best allocation inside a budget; nothing is retrained or measured.

    Where the search's proposals were a policy's, they are here; else an integer program is solved.

    Args:
        beliefs: Of a finished search.
        budget: Need not be the search's.

    Raises:
        BudgetError: no allocation is inside.
        TaskError: the policy's weights are gone.
    """
    inside = beliefs.scales.correct(budget)
    chosen = (_by_policy if beliefs.policy else _by_program)(beliefs, inside)
    if chosen is None:
        raise BudgetError(
            f"no allocation of bits is expected inside {budget}", "a wider budget may have one"
        )
    return Predicted(
        allocation=chosen,
        score=beliefs.score(chosen),
        latency_ms=beliefs.latency_ms(chosen),
        energy_mj=beliefs.energy_mj(chosen),
        model_bytes=beliefs.model_bytes(chosen),
        budget=budget,
    )


def answer_front(beliefs: Beliefs) -> Iterator[Predicted]:
    """Yield answers for budgets of time, or of bytes where bits buy no time, the tightest first."""
    space, table = beliefs.space, beliefs.table
    least, most = (budget_between(space, table, share).latency_ms or 0.0 for share in (0.0, 1.0))
    resource: Resource = "latency" if least < (1.0 - LEAST_GAIN) * most else "model_bytes"
    for share in _SHARES:
        budget = budget_between(space, table, share, resource)
        yield answer_budget(beliefs, beliefs.scales.scale(budget))


def _by_program(beliefs: Beliefs, budget: Budget) -> Allocation | None:
    space, costs = beliefs.space, cost_table(beliefs.space, beliefs.table)
    losses = response_losses(space, np.nan_to_num(beliefs.mean_table))
    problem = choices_within(space, losses, costs, budget)
    picks = solve_exact(problem)
    return None if picks is None else problem.allocation(picks)


def _by_policy(beliefs: Beliefs, budget: Budget) -> Allocation | None:
    view = table_view(beliefs.space, beliefs.table, budget)
    view.show(beliefs.mean_table)
    policy = token_policy_of(beliefs.policy)
    samples = min(_SAMPLES, max(0, _PAIRS // len(beliefs.space.decisions) ** 2 - 4))
    proposed = propose_tokens(policy, view, samples, np.random.default_rng(_SEED))
    return proposed[int(beliefs.losses(proposed).argmin())]
