"""Lowering: HAQ's way into the budget after the agent has chosen."""

import numpy as np

from agents.costs.spending import Columns, Spending


def lower(columns: Columns, spending: Spending) -> Columns:
    """Return columns inside the budget: one choice lower at a time, from the last layer back.

    In each layer the activations come first, then the weights; sweeps are repeated until the
    budget is met. Where everything is at the lowest choice and it is not, since fewer bits may
    cost more, the nearest choices inside are taken, which HAQ does not have.
    Source: Wang et al. 2019, "HAQ" (CVPR), section 3.3, and the released code.
    """
    columns = columns.copy()
    while not spending.inside(columns):
        if not columns.any():
            return spending.nearest(columns)
        for decision in np.flatnonzero(columns)[::-1]:
            columns[decision] -= 1
            if spending.inside(columns):
                break
    return columns
