"""Pair terms: how far the loss rises with one decision narrow, and with two at once."""

import itertools

import numpy as np
import torch

from agents.search import SearchProblem
from env.decisions.decisions import DecisionSpace
from env.responses.columns import Floats
from quant.allocation import Allocation
from quant.tensors.moving import fetch


def measure_terms(problem: SearchProblem, images: int, *, pairs: bool) -> Floats:
    """Return a symmetric matrix `[decisions * most choices] * 2` of rises of the loss.

    Entry (i, m), (i, m) is the rise with decision i alone at its choice m, over everything at its
    widest. Entry (i, m), (j, n) is half of what the two together add beyond the sum of both. The
    matrix is projected to positive semidefinite ones, as published, so that noise invents no gains.
    No weight changes: forward passes of the calibrated network, which the ledger is charged with.

    Args:
        problem: Has the network and the training images.
        images: How many are scored.
        pairs: Whether two at once are looked at; else the matrix is diagonal.
    """
    space = problem.space
    most = max(len(decision.menu) for decision in space.decisions)
    network = problem.prepare()
    inputs, labels = problem.train.images[:images], problem.train.labels[:images]

    @torch.no_grad()
    def loss(changes: dict[int, int]) -> float:
        network.set_allocation(_changed(space, changes))
        problem.ledger.add(training_samples=len(inputs))
        return float(fetch(problem.objective.loss.each(network(inputs), labels)).double().mean())

    base = loss({})
    choices = [
        (step, place)
        for step, decision in enumerate(space.decisions)
        for place in range(len(decision.menu) - 1)
    ]
    single = {choice: loss(dict([choice])) - base for choice in choices}
    terms = np.zeros((len(space.decisions) * most,) * 2)
    for choice, rise in single.items():
        at = _index(choice, most)
        terms[at, at] = rise
    if not pairs:
        return terms
    for first, second in itertools.combinations(choices, 2):
        if first[0] != second[0]:
            both = loss(dict([first, second])) - base
            one, other = _index(first, most), _index(second, most)
            terms[one, other] = terms[other, one] = 0.5 * (both - single[first] - single[second])
    return _semidefinite(terms)


def _index(choice: tuple[int, int], most: int) -> int:
    return choice[0] * most + choice[1]


def _changed(space: DecisionSpace, changes: dict[int, int]) -> Allocation:
    """Return everything at its widest but some decisions, which have a place in their menu."""
    bits = [
        decision.menu[changes.get(step, len(decision.menu) - 1)]
        for step, decision in enumerate(space.decisions)
    ]
    return space.allocation(bits)


def _semidefinite(terms: Floats) -> Floats:
    values, vectors = np.linalg.eigh(terms)
    projected: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return projected
