"""Knowledge: the posterior of a problem's hidden responses, after each evaluation."""

import hashlib
from collections import OrderedDict
from dataclasses import replace

import numpy as np

from agents.search import SearchProblem
from env.responses.columns import ResponseColumns, response_columns
from env.responses.looks import ObservedLooks, observed_looks
from env.responses.losses import ObservedLosses, observed_losses
from env.responses.posterior import ResponsePosterior, infer_responses
from env.responses.prior import ResponsePrior

_REMEMBERED = 512
"""Posteriors of last, the same for whoever knows the same: a search and who judges its answer, and
on tables of truth searches of one seed that begin alike."""
_last: OrderedDict[bytes, ResponsePosterior] = OrderedDict()


class Knowledge:
    """Asks for the sensitivities once, and infers anew when something was evaluated."""

    def __init__(
        self,
        problem: SearchProblem,
        *,
        seed: int,
        looks: bool = False,
        interactions: bool = False,
    ) -> None:
        """Look up or estimate the sensitivities that the problem's prior reads, which are charged.

        Args:
            problem: Its evaluations teach.
            seed: Draws samples; each number of evaluations has other ones.
            looks: Whether what was seen during retrainings teaches, too.
            interactions: Whether decisions may do something together, where that predicts.
        """
        self._interactions = interactions
        self._problem, self._seed, self._looks = problem, seed, looks
        rises = problem.sensitivities.table(problem.prior.kind).rises
        self._columns = response_columns(problem.space, rises)
        self._known: tuple[int, ResponsePosterior] | None = None

    def posterior(self) -> ResponsePosterior:
        """Return what is believed now."""
        problem = self._problem
        evaluations = problem.evaluator.evaluations
        count = len(evaluations) + len(problem.batch_looks)
        if self._known is None or self._known[0] != count:
            observed = observed_losses(evaluations, problem.reference, problem.space)
            looks = self._observed_looks()
            seed = int(np.random.SeedSequence([self._seed, count]).generate_state(1)[0])
            found = _infer(problem.prior, self._columns, observed, looks, seed, self._interactions)
            found = replace(found, columns=self._columns, observed=observed, looks=looks)
            self._known = (count, found)
        return self._known[1]

    def _observed_looks(self) -> ObservedLooks | None:
        """Return what was looked at, as far as it is asked for; None where nothing was."""
        batches = self._problem.batch_looks
        if not self._looks and not batches:
            return None
        evaluations = self._problem.evaluator.evaluations if self._looks else ()
        return observed_looks(evaluations, self._columns, batches)


def _infer(
    prior: ResponsePrior,
    columns: ResponseColumns,
    observed: ObservedLosses,
    looks: ObservedLooks | None,
    seed: int,
    interactions: bool,
) -> ResponsePosterior:
    """Return what `infer_responses` does, which equal questions make the same to the bit."""
    digest = hashlib.sha256(repr((prior, seed, observed.allocations, interactions)).encode())
    arrays = [columns.of, columns.bits, columns.rises, columns.facts]
    arrays += [columns.fixed, observed.losses, observed.errors]
    if looks is not None:
        arrays += [looks.columns, looks.rises]
        arrays += [looks.batch_rows, looks.batch_rises, looks.batch_images]
    for array in arrays:
        digest.update(f"{array.shape}".encode() + array.tobytes())
    key = digest.digest()
    if key not in _last:
        found = infer_responses(
            prior, columns, observed, seed=seed, looks=looks, interactions=interactions
        )
        _last[key] = found
        if len(_last) > _REMEMBERED:
            _last.popitem(last=False)
    return _last[key]
