"""Random search: uniformly random legal choices, after the uniform allocations."""

from dataclasses import dataclass

import numpy as np

from agents.judging.config import Judged
from agents.search import SearchProblem, SearchResult, rank_candidates
from agents.uniform import evaluate_uniform
from env.bit_allocation import BitAllocationEnv
from env.errors import TaskError
from env.practice.scales import measured_over_predicted
from quant.allocation import Allocation
from quant.records.ranges import check_ranges

_PATIENCE = 1000
"""Draws in a row that were all seen before, after which the space counts as used up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RandomConfig(Judged):
    """What is made of random allocations."""

    def __post_init__(self) -> None:
        """Refuse a race that is no number of evaluations."""
        check_ranges(self, "random.", TaskError)


def draw_allocation(env: BitAllocationEnv, rng: np.random.Generator) -> Allocation:
    """Return the end of an episode of uniformly random legal actions, not evaluated."""
    env.reset()
    bits: list[int] = []
    while True:
        action = rng.choice(np.flatnonzero(env.action_masks()))
        bits.append(env.space.widths[int(action)])
        if len(bits) == len(env.decisions):
            return env.space.allocation(bits)
        env.step(action)


def search(problem: SearchProblem, config: RandomConfig, *, seed: int) -> SearchResult:
    """Evaluate random allocations inside the budget, never the same one twice."""
    evaluate_uniform(problem)
    evaluator, env = problem.evaluator, problem.make_env()
    rng = np.random.default_rng(seed)
    evaluator.proposer = "random"
    seen = set(problem.seen())
    misses = 0
    while evaluator.remaining > 0 and misses < _PATIENCE:
        env.correct(measured_over_predicted(evaluator.evaluations, problem.table))
        drawn: list[Allocation] = []
        while len(drawn) < min(evaluator.parallel, evaluator.remaining) and misses < _PATIENCE:
            allocation = draw_allocation(env, rng)
            if allocation in seen:
                misses += 1
                continue
            misses = 0
            seen.add(allocation)
            drawn.append(allocation)
        evaluator.evaluate(drawn)
    return rank_candidates(problem)
