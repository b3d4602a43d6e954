"""OMPQ: bits in proportion to how unlike other layers a layer is, by a linear program."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from agents.ompq.config import OMPQConfig
from agents.search import SearchProblem, SearchResult
from agents.solvers.choice_problem import ChoiceProblem, LayerChoices, Picks
from agents.solvers.cost_model import Losses
from agents.solvers.exact import solve_relaxed
from agents.solvers.greedy import Groups, pick_fresh
from agents.solvers.solve_once import search_by_solving
from env.decisions.decisions import own_parts
from quant.sensitivities import Orthogonality


def importance(found: Orthogonality, beta: float) -> dict[str, float]:
    """Return `exp(-beta * s)` of each layer, s its similarities to the other layers summed up.

    Source: Ma et al. 2023, "OMPQ: Orthogonal Mixed Precision Quantization" (AAAI), section 3.2.
    """
    matrix = np.array(found.matrix)
    sums = matrix.sum(1) - matrix.diagonal()
    # Only ratios matter; the most unlike layer has 1, so that no beta makes all of them vanish.
    return {
        layer: math.exp(-beta * float(total - sums.min()))
        for layer, total in zip(found.layers, sums, strict=True)
    }


def bit_worth(weights: Mapping[str, float]) -> dict[str, float]:
    """Return what a bit of each layer is worth: the mean importance from it to the last layer.

    Source: the released code of OMPQ, as described; the paper has the plain importance.
    """
    values = np.array(list(weights.values()))
    later = values[::-1].cumsum()[::-1] / np.arange(len(values), 0, -1)
    return dict(zip(weights, later.tolist(), strict=True))


def solve_rounded(problem: ChoiceProblem, exclude: Collection[Picks] = ()) -> Picks | None:
    """Return the linear program's answer, rounded to choices and repaired into the limits.

    Mixtures of pairs stand for bits in between, which are rounded to the nearest choice, ties'
    activations together. Where rounding went over a limit, the cheapest steps lead back, and what
    is then left of the limits is filled. The next best are neighbours, as for MCKP.
    """
    shares = solve_relaxed(problem)
    if shares is None:
        return None
    groups = Groups(problem)
    return pick_fresh(groups, groups.from_picks(_round(problem, shares)), exclude)


def search(problem: SearchProblem, config: OMPQConfig, *, seed: int) -> SearchResult:
    """Give bits to layers that are unlike the others; `seed` has no effect.

    Source: Ma et al. 2023 (AAAI, arXiv 2109.07865). The paper gives all activations the same
    bits; by default they are allocated here too, a bit of a tensor being worth the mean of the
    layers that read it.
    """
    worth = bit_worth(importance(problem.sensitivities.orthogonality(), config.beta))
    losses = _losses(problem, worth)
    solve = solve_rounded if config.activations == "allocated" else _solve_uniform
    return search_by_solving(problem, losses, solve, name="ompq", cost=config.cost)


def _losses(problem: SearchProblem, worth: Mapping[str, float]) -> Losses:
    """Return minus what the bits are worth; a tensor's is counted at the first that reads it."""
    readers: dict[str, list[str]] = {}
    for layer in problem.layers:
        for tensor in dict.fromkeys(layer.tensors):
            readers.setdefault(tensor, []).append(layer.name)
    of_tensor = {
        tensor: float(np.mean([worth[name] for name in names])) for tensor, names in readers.items()
    }

    def gained(layer: str, pair: tuple[int, int]) -> float:
        return sum(
            (of_tensor[part.tensor] if part.is_tensor else worth[layer]) * bits
            for part, bits in own_parts(problem.space, layer, pair).items()
        )

    return {
        layer.name: {pair: -gained(layer.name, pair) for pair in problem.space.pairs(layer.name)}
        for layer in problem.layers
    }


def _round(problem: ChoiceProblem, shares: list[np.ndarray]) -> Picks:
    picks: list[int] = []
    known: dict[int, int] = {}  # what is decided once is rounded once
    for layer, share in zip(problem.layers, shares, strict=True):
        wanted = share @ np.array(layer.pairs) / share.sum()
        possible = [row for row, pair in enumerate(layer.pairs) if layer.agrees(pair, known)]
        pick = min(possible, key=lambda row: float(np.abs(layer.pairs[row] - wanted).sum()))
        known |= layer.decided(layer.pairs[pick])
        picks.append(pick)
    return tuple(picks)


def _solve_uniform(problem: ChoiceProblem, exclude: Collection[Picks]) -> Picks | None:
    """Return the best answer of those with one width for all activations but fixed ones.

    A tensor with another menu has the width in it that is nearest.
    """
    menus: dict[int, list[int]] = {}
    for layer in problem.layers:
        for side in (0, 1) if layer.is_product else (1,):
            if (step := layer.steps[side]) is not None:
                menus[step] = sorted({pair[side] for pair in layer.pairs})
    answers = []
    for width in sorted({width for menu in menus.values() for width in menu} or {0}):
        held = {step: min(menu, key=lambda own: abs(own - width)) for step, menu in menus.items()}
        kept = [_held_at(layer, held) for layer in problem.layers]
        narrowed = ChoiceProblem(layers=tuple(layer for layer, _ in kept), limits=problem.limits)
        inverse = [{old: new for new, old in enumerate(rows)} for _, rows in kept]
        known = {
            tuple(where[pick] for where, pick in zip(inverse, picks, strict=True))
            for picks in exclude
            if all(pick in where for where, pick in zip(inverse, picks, strict=True))
        }
        if (picks := solve_rounded(narrowed, known)) is not None:
            answers.append(tuple(rows[p] for (_, rows), p in zip(kept, picks, strict=True)))
    return min(answers, key=problem.loss, default=None)


def _held_at(layer: LayerChoices, held: Mapping[int, int]) -> tuple[LayerChoices, list[int]]:
    """Return the pairs that have the widths of some decisions, and where they were."""
    rows = [row for row, pair in enumerate(layer.pairs) if layer.agrees(pair, held)]
    return replace(
        layer,
        pairs=tuple(layer.pairs[row] for row in rows),
        losses=layer.losses[rows],
        costs=layer.costs[rows],
    ), rows
