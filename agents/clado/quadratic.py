"""A quadratic loss over choices inside a budget, descended by changing one or two decisions."""

import itertools
from collections.abc import Collection

import numpy as np

from agents.costs.spending import Columns, Spending
from env.responses.columns import Floats

_STARTS = 8
"""Descents: from the cheapest and the widest choices inside, and from random ones."""


class QuadraticProgram:
    """Minimises the sum of the terms of what is chosen, all pairs among them.

    The paper hands it to a commercial solver; here it is descended from several starts to choices
    that no change of one or two decisions makes better, which is no proof of the optimum.
    """

    def __init__(self, terms: Floats, spending: Spending) -> None:
        """Keep the terms, `[decisions * most choices] * 2`, and the budget."""
        self._terms, self._spending = terms, spending
        count = len(spending.choices)
        self._offsets = np.arange(count) * (len(terms) // count)
        singles = [
            ((step, place),)
            for step, choices in enumerate(spending.choices)
            for place in range(int(choices))
        ]
        doubles = [
            (first, second)
            for (first,), (second,) in itertools.combinations(singles, 2)
            if first[0] != second[0]
        ]
        self._changes = [np.array(change) for change in (singles, doubles) if change]

    def losses(self, rows: Columns) -> Floats:
        """Return the loss of rows of columns `[N, decisions]`, `[N]`."""
        at = rows + self._offsets
        total: Floats = self._terms[at[:, :, None], at[:, None, :]].sum((1, 2))
        return total

    def best(
        self, exclude: Collection[tuple[int, ...]], rng: np.random.Generator
    ) -> Columns | None:
        """Return the best choices inside that were come by and are not excluded, or None."""
        spending, found = self._spending, {}
        starts = [spending.choices - 1, np.zeros_like(spending.choices)]
        starts += [rng.integers(spending.choices) for _ in range(_STARTS - len(starts))]
        for start in starts:
            current = spending.nearest(start)
            value = float(self.losses(current[None])[0])
            while True:
                rows = self._neighbours(current)
                losses = self.losses(rows)
                order = np.argsort(losses, kind="stable")
                for place in order[: len(exclude) + 1]:
                    found[tuple(map(int, rows[place]))] = float(losses[place])
                if losses[order[0]] >= value - 1e-15:
                    break
                current, value = rows[order[0]], float(losses[order[0]])
        fresh = [(loss, columns) for columns, loss in found.items() if columns not in exclude]
        return np.array(min(fresh)[1], dtype=np.int64) if fresh else None

    def _neighbours(self, columns: Columns) -> Columns:
        """Return what differs in one or two decisions and is inside; the columns among them."""
        rows = [columns[None]]
        for changes in self._changes:
            changed = np.repeat(columns[None], len(changes), axis=0)
            number = np.arange(len(changes))[:, None]
            changed[number, changes[:, :, 0]] = changes[:, :, 1]
            rows.append(changed)
        every = np.concatenate(rows)
        return every[self._spending.inside(every)]
