"""Search in samples: a policy that was trained before solves whatever world it is shown.

Where responses are known well all samples of the posterior agree, and so do the proposals; where
they are not, the policy proposes what each sample would have it, and what is evaluated tells.
"""

from functools import partial

from agents.judging.best_in_world import best_in_world
from agents.judging.knowledge import Knowledge
from agents.ppo.config import PPOConfig
from agents.ppo.one_shot import one_shot
from agents.ppo.proposer import TokenProposer
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform
from quant.allocation import Allocation

_SAMPLES_TRIED = 8
"""Samples of the posterior that are shown before a policy that proposes nothing new gives up."""


def search_in_samples(problem: SearchProblem, config: PPOConfig, *, seed: int) -> SearchResult:
    """Evaluate what the policy proposes in the posterior's mean, then in one sample after another.

    Source: Osband et al. 2013, "(More) Efficient Reinforcement Learning via Posterior Sampling"
    (NeurIPS).

    Raises:
        TaskError: as of `TokenProposer`.
    """
    proposer = TokenProposer(problem, config, seed=seed)
    one_shot(problem, config, proposer, seed=seed)
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    if evaluator.remaining <= 0:
        return rank_candidates(problem)
    evaluator.proposer = "ppo"
    knowledge = Knowledge(problem, seed=seed, looks=config.looks, interactions=config.interactions)
    worlds: list[int | None] = [None]  # the mean, then the samples
    while evaluator.remaining > 0:
        wanted, asked = min(evaluator.parallel, evaluator.remaining), list[Allocation]()
        posterior = knowledge.posterior()
        for world in [*worlds, *range(len(posterior.responses))][
            : len(worlds) + wanted + _SAMPLES_TRIED
        ]:
            find = partial(proposer.propose, without={*problem.seen(), *asked})
            proposed = best_in_world(posterior, find, world)
            if proposed is not None:
                asked.append(proposed)
            if len(asked) == wanted:
                break
        if not asked:
            break
        evaluator.evaluate(asked)
        worlds = []
    return rank_candidates(problem)
