"""Search in samples: a policy that was trained before solves whatever world it is shown.

Where responses are known well all samples of the posterior agree, and so do the proposals; where
they are not, the policy proposes what each sample would have it, and what is evaluated tells.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from agents.judging.knowledge import Knowledge
from agents.ppo.config import PPOConfig
from agents.ppo.token_play import play_tokens
from agents.ppo.token_policy import TokenPolicy
from agents.ppo.token_weights import token_policy_of
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform
from env.practice.scales import measured_over_predicted
from env.responses.columns import Floats
from env.token_view import TokenView
from quant.allocation import Allocation

_SAMPLES_TRIED = 8
"""Samples of the posterior that are shown before a policy that proposes nothing new gives up."""


def search_in_samples(problem: SearchProblem, config: PPOConfig, *, seed: int) -> SearchResult:
    """Evaluate what the policy draws in one sample of the posterior after another.

    No solver and no enumeration stands between the policy and what is evaluated: of what it draws,
    what loses least by the sample's own sum is taken.
    Source: Osband et al. 2013, "(More) Efficient Reinforcement Learning via Posterior Sampling"
    (NeurIPS).

    Raises:
        TaskError: the weights are missing, or a width is decided that tokens do not tell of.
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    if evaluator.remaining <= 0:
        return rank_candidates(problem)
    evaluator.proposer = "ppo"
    view = TokenView(problem.make_env())
    knowledge = Knowledge(problem, seed=seed, looks=config.looks)
    policy = token_policy_of(Path(config.token_weights), view)
    while evaluator.remaining > 0:
        tables, seen = knowledge.posterior().tables, problem.seen()
        view.network.correct(measured_over_predicted(evaluator.evaluations, problem.table))
        drawn = np.random.SeedSequence([seed, len(evaluator.evaluations)]).generate_state(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(drawn[0]))
            proposals = (
                _proposal(policy, view, table, seen, config.token_samples)
                for table in tables[:_SAMPLES_TRIED]
            )
            chosen = next((one for one in proposals if one is not None), None)
        if chosen is None:
            break
        evaluator.evaluate([chosen])
    return rank_candidates(problem)


def _proposal(
    policy: TokenPolicy, view: TokenView, table: Floats, seen: Collection[Allocation], count: int
) -> Allocation | None:
    """Return what loses least of what the policy draws in a world and nobody evaluated."""
    view.show(table)
    choice = play_tokens(policy, view, 1, deterministic=True)
    drawn = play_tokens(policy, view, count, deterministic=False)
    space = view.network.space
    column = {bits: place for place, bits in enumerate(space.widths)}

    def lost(allocation: Allocation) -> float:
        bits = space.bits_of(allocation)
        return float(sum(table[step, column[width]] for step, width in enumerate(bits)))

    fresh = [one for one in dict.fromkeys([*choice, *drawn]) if one not in seen]
    return min(fresh, key=lost, default=None)
