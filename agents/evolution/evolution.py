"""Evolution: one parent, mutated copies that keep the budget, and a race for its place."""

from collections import Counter

import numpy as np

from agents.costs.spending import spending_of
from agents.evolution.config import EvolutionConfig
from agents.evolution.mutation import mutate
from agents.search import SearchProblem, SearchResult, evaluated_inside, rank_candidates
from agents.uniform import evaluate_uniform
from env.evaluating.ranking import rank
from quant.allocation import Allocation

_PATIENCE = 200
"""Mutations in a row that were all seen before, after which the space counts as used up."""


def search(problem: SearchProblem, config: EvolutionConfig, *, seed: int) -> SearchResult:
    """Mutate the best allocation, evaluate its offspring, and the best of them again.

    In the paper offspring are compared on few samples, and the better ones on more; here every
    evaluation retrains, and the better ones are evaluated again with another seed. What is best by
    its mean score is the next parent.
    Source: Sieberling et al. 2025, "EvoPress: Accurate Dynamic Model Compression via Evolutionary
    Search" (ICML): level swaps, and selection in rounds.
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = "evolution"
    rng = np.random.default_rng(seed)
    while evaluator.remaining > 0:
        offspring = _breed(problem, config, rng)
        if not offspring:
            break
        evaluator.evaluate(offspring[: evaluator.remaining])
        if evaluator.repeatable:
            _race(problem, offspring, config.survivors)
    evaluator.adopt_past()
    return rank_candidates(problem)


def _breed(
    problem: SearchProblem, config: EvolutionConfig, rng: np.random.Generator
) -> list[Allocation]:
    """Return mutations of the parent that nobody evaluated yet."""
    spending, seen = spending_of(problem), set(problem.seen())
    best = rank_candidates(problem).candidates
    # Where nothing was inside yet, the budget itself is the parent.
    parent = spending.columns(best[0]) if best else spending.nearest(spending.choices - 1)
    found: list[Allocation] = []
    misses = 0
    while len(found) < config.offspring and misses < _PATIENCE:
        one = spending.allocation(mutate(parent, spending, config.swaps, rng))
        if one in seen:
            misses += 1
            # Far from a parent whose neighbours are used up there may be something yet.
            if misses > _PATIENCE // 2:
                parent = spending.nearest(rng.integers(spending.choices))
            continue
        seen.add(one)
        found.append(one)
        misses = 0
    return found


def _race(problem: SearchProblem, offspring: list[Allocation], survivors: int) -> None:
    """Evaluate the best offspring again, each with the next seed."""
    evaluator = problem.evaluator
    born = [e for e in evaluated_inside(problem) if e.allocation in offspring]
    times = Counter(evaluation.allocation for evaluation in evaluator.evaluations)
    for best in rank(born, problem.reference, problem.reward)[:survivors]:
        if evaluator.remaining > 0:
            evaluator.evaluate([best.allocation], repeat=times[best.allocation])
