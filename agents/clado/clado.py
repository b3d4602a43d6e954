"""CLADO: pairwise sensitivities from forward passes, and the quadratic program they make."""

import numpy as np

from agents.clado.config import CLADOConfig
from agents.clado.pair_terms import measure_terms
from agents.clado.quadratic import QuadraticProgram
from agents.costs.spending import spending_of
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform


def search(problem: SearchProblem, config: CLADOConfig, *, seed: int) -> SearchResult:
    """Solve for the least sum of single and pairwise rises of the loss, and evaluate the answer.

    The published method stops there; here it may use as many evaluations as the others, for the
    next best. `seed` draws where some of the descents begin.
    Source: Deng et al. 2025, "Mixed-Precision Quantization for Deep Vision Models with Integer
    Quadratic Programming" (DAC, arXiv 2307.05657). The paper chooses weights only; here
    activations are chosen with them, and its solver is ours.
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = "clado"
    if evaluator.remaining <= 0:
        return rank_candidates(problem)
    terms = measure_terms(problem, config.images, pairs=config.pairs)
    rng = np.random.default_rng(seed)
    while evaluator.remaining > 0:
        spending = spending_of(problem)
        seen = problem.seen()
        known = {tuple(map(int, spending.columns(allocation))) for allocation in seen}
        columns = QuadraticProgram(terms, spending).best(known, rng)
        if columns is None or spending.allocation(columns) in seen:
            break
        evaluator.evaluate([spending.allocation(columns)])
    return rank_candidates(problem)
