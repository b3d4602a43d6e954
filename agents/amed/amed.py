"""AMED: Metropolis sampling of the bits during training, its best samples measured as it goes."""

from agents.amed.chain import AMEDChain
from agents.amed.config import AMEDConfig
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform

_PATIENCE = 20
"""Rounds of samples in a row with nothing new, after which the space counts as used up."""


def search(problem: SearchProblem, config: AMEDConfig, *, seed: int) -> SearchResult:
    """Train and sample, and evaluate the best new sample whenever one evaluation is due.

    The samples are spread evenly over the evaluations that are left after the uniform ones. A
    sample is scored by the network in training and by the layer table; an evaluation retrains and
    measures like every other method's, and corrects the table.
    Source: Kimhi et al. 2024, "AMED: Automatic Mixed-Precision Quantization for Edge Devices".
    """
    evaluate_uniform(problem)
    evaluator = problem.evaluator
    evaluator.proposer = "amed"
    if evaluator.remaining <= 0:
        return rank_candidates(problem)
    each = -(-config.samples // evaluator.remaining)
    chain = AMEDChain(problem, config, seed=seed)
    for allocation in chain.proposed:  # before this run was killed; most are handed back
        if evaluator.remaining > 0 and allocation not in problem.seen():
            evaluator.evaluate([allocation])
    misses = 0
    while evaluator.remaining > 0 and misses < _PATIENCE:
        proposal = chain.propose(each, problem.seen())
        if proposal is None:
            misses += 1
            continue
        misses = 0
        evaluator.evaluate([proposal])
    evaluator.adopt_past()
    return rank_candidates(problem)
