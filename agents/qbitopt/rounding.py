"""Rounding: from real-valued bits to bit choices inside a budget, exactly.

Down to the next choice first. Where that is outside still (the real-valued solution saw straight
lines in place of the costs), bits are lowered one by one, each time the most saved for the noise;
then slack is spent one by one, each time the most noise removed for the cost.
"""

import numpy as np

from agents.costs.spending import Columns, Spending
from agents.qbitopt.bit_program import Vector

_SMALLEST = 1e-12
"""Stands for no cost where something is divided by it."""


def round_into_budget(bits: Vector, losses: Vector, spending: Spending) -> Columns:
    """Return bit choices inside the budget, none of which can be raised any more.

    Args:
        bits: Real-valued, `[decisions]`.
        losses: What each choice costs in accuracy, falling from choice to choice,
            `[decisions, choices]`; infinite behind the end of a menu.
        spending: The budget.
    """
    return _fill(_lower(floor_choices(bits, spending), losses, spending), losses, spending)


def floor_choices(bits: Vector, spending: Spending) -> Columns:
    """Return the widest choice up to each of some bits, at least the narrowest, `[decisions]`."""
    below = [
        np.searchsorted(decision.menu, wanted + _SMALLEST, side="right") - 1
        for decision, wanted in zip(spending.decisions, bits, strict=True)
    ]
    columns: Columns = np.maximum(below, 0).astype(np.int64)
    return columns


def neighbours(columns: Columns, losses: Vector, spending: Spending) -> list[Columns]:
    """Return what is found inside the budget with one decision held at another choice.

    Least loss first, without `columns` itself; the other decisions give way or take the slack.
    """
    found: dict[tuple[int, ...], Columns] = {}
    for decision in range(len(columns)):
        for choice in range(int(spending.choices[decision])):
            row = columns.copy()
            row[decision] = choice
            row = _fill(_lower(row, losses, spending, decision), losses, spending, decision)
            found[tuple(row.tolist())] = row
    found.pop(tuple(columns.tolist()), None)
    everywhere = np.arange(len(columns))
    return sorted(found.values(), key=lambda row: float(losses[everywhere, row].sum()))


def _lower(
    columns: Columns, losses: Vector, spending: Spending, held: int | None = None
) -> Columns:
    """Lower until inside; where single steps lead nowhere, take the nearest choices inside."""
    while not spending.inside(columns):
        rows, changed = _variants(columns, spending.choices, -1, held)
        over = np.maximum(spending.shares(columns) - 1.0, 0.0).sum()
        saved = over - np.maximum(spending.shares(rows) - 1.0, 0.0).sum(axis=-1)
        if not (saved > 0).any():
            return spending.nearest(columns)
        lost = _loss_of(losses, rows, changed) - losses[changed, columns[changed]]
        columns = rows[int(np.argmax(np.where(saved > 0, saved / np.maximum(lost, _SMALLEST), -1)))]
    return columns


def _fill(columns: Columns, losses: Vector, spending: Spending, held: int | None = None) -> Columns:
    while True:
        rows, changed = _variants(columns, spending.choices, +1, held)
        fits = spending.inside(rows)
        if not fits.any():
            return columns
        rows, changed = rows[fits], changed[fits]
        gained = losses[changed, columns[changed]] - _loss_of(losses, rows, changed)
        spent = (spending.shares(rows) - spending.shares(columns)).max(axis=-1, initial=0.0)
        columns = rows[int(np.argmax(gained / np.maximum(spent, _SMALLEST)))]


def _variants(
    columns: Columns, choices: Columns, sign: int, held: int | None
) -> tuple[Columns, Columns]:
    """Return all rows with one decision lower (sign -1) or higher (+1), and which it is."""
    offered = np.arange(int(choices.max()))[None, :]
    better = offered < columns[:, None] if sign < 0 else offered > columns[:, None]
    better &= offered < choices[:, None]
    if held is not None:
        better[held] = False
    changed, choice = np.nonzero(better)
    rows = np.repeat(columns[None, :], len(changed), axis=0)
    rows[np.arange(len(changed)), changed] = choice
    return rows, changed


def _loss_of(losses: Vector, rows: Columns, changed: Columns) -> Vector:
    loss: Vector = losses[changed, rows[np.arange(len(rows)), changed]]
    return loss
