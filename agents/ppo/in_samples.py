"""Search in samples: a policy that was trained before solves whatever world it is shown.

Where responses are known well all samples of the posterior agree, and so do the proposals; where
they are not, the policy proposes what each sample would have it, and what is evaluated tells.
"""

from collections.abc import Collection

import numpy as np
import torch

from agents.judging.knowledge import Knowledge
from agents.ppo.config import PPOConfig
from agents.ppo.token_play import propose_tokens
from agents.ppo.token_weights import token_policy_of
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform
from env.practice.scales import measured_over_predicted
from env.responses.columns import Floats
from env.responses.table_losses import table_losses
from env.token_view import table_view
from quant.allocation import Allocation

_SAMPLES_TRIED = 8
"""Samples of the posterior that are shown before a policy that proposes nothing new gives up."""


class TokenProposer:
    """Proposes allocations of one problem in whatever world it is shown."""

    def __init__(self, problem: SearchProblem, config: PPOConfig, *, seed: int) -> None:
        """Read the weights.

        Raises:
            TaskError: the weights are missing, or a width is decided that tokens do not tell of.
        """
        self._problem, self._samples, self._seed = problem, config.policy_samples, seed
        self._view = table_view(problem.space, problem.table, problem.budget)
        self._policy = token_policy_of(config.policy)

    def propose(self, table: Floats, without: Collection[Allocation] = ()) -> Allocation | None:
        """Return what loses least in a world of all that the policy chooses and draws there.

        No solver and no enumeration stands between the policy and what it proposes.

        Args:
            table: Quality lost of each decision at each of the space's widths.
            without: What is not proposed.
        """
        evaluations = self._problem.evaluator.evaluations
        self._view.show(table)
        self._view.network.correct(measured_over_predicted(evaluations, self._problem.table))
        drawn = np.random.SeedSequence([self._seed, len(evaluations), len(without)])
        generator = torch.Generator().manual_seed(int(drawn.generate_state(1)[0]))
        proposed = propose_tokens(self._policy, self._view, self._samples, generator)
        fresh = [one for one in proposed if one not in without]
        if not fresh:
            return None
        return fresh[int(table_losses(self._problem.space, table, fresh).argmin())]


def search_in_samples(problem: SearchProblem, config: PPOConfig, *, seed: int) -> SearchResult:
    """Evaluate what the policy proposes in the posterior's mean, then in one sample after another.

    Source: Osband et al. 2013, "(More) Efficient Reinforcement Learning via Posterior Sampling"
    (NeurIPS).

    Raises:
        TaskError: as of `TokenProposer`.
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    if evaluator.remaining <= 0:
        return rank_candidates(problem)
    evaluator.proposer = "ppo"
    proposer = TokenProposer(problem, config, seed=seed)
    knowledge = Knowledge(problem, seed=seed, looks=config.looks)
    worlds = [knowledge.posterior().mean_table]
    while evaluator.remaining > 0:
        wanted, asked = min(evaluator.parallel, evaluator.remaining), list[Allocation]()
        for table in [*worlds, *knowledge.posterior().tables[: wanted + _SAMPLES_TRIED]]:
            proposed = proposer.propose(table, {*problem.seen(), *asked})
            if proposed is not None:
                asked.append(proposed)
            if len(asked) == wanted:
                break
        if not asked:
            break
        evaluator.evaluate(asked)
        worlds = []
    return rank_candidates(problem)
