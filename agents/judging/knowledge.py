"""Knowledge: the posterior of a problem's hidden responses, after each evaluation."""

import numpy as np

from agents.search import SearchProblem
from env.responses.columns import response_columns
from env.responses.looks import observed_looks
from env.responses.losses import observed_losses
from env.responses.posterior import ResponsePosterior, infer_responses


class Knowledge:
    """Asks for the sensitivities once, and infers anew when something was evaluated."""

    def __init__(self, problem: SearchProblem, *, seed: int, looks: bool = False) -> None:
        """Look up or estimate the sensitivities that the problem's prior reads, which are charged.

        Args:
            problem: Its evaluations teach.
            seed: Draws samples; each number of evaluations has other ones.
            looks: Whether what was seen during retrainings teaches, too.
        """
        self._problem, self._seed, self._looks = problem, seed, looks
        rises = problem.sensitivities.table(problem.prior.kind).rises
        self._columns = response_columns(problem.space, rises)
        self._known: tuple[int, ResponsePosterior] | None = None

    def posterior(self) -> ResponsePosterior:
        """Return what is believed now."""
        problem = self._problem
        count = len(problem.evaluator.evaluations)
        if self._known is None or self._known[0] != count:
            evaluations = problem.evaluator.evaluations
            observed = observed_losses(evaluations, problem.reference, problem.space)
            looks = observed_looks(evaluations, self._columns) if self._looks else None
            seed = int(np.random.SeedSequence([self._seed, count]).generate_state(1)[0])
            found = infer_responses(problem.prior, self._columns, observed, seed=seed, looks=looks)
            self._known = (count, found)
        return self._known[1]
