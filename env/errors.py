"""Errors of the decision problem."""

from quant.errors import BitAllocError


class TaskError(BitAllocError, ValueError):
    """Raised for a task that does not exist or cannot be loaded."""


class LayerRuleError(BitAllocError, ValueError):
    """Raised for a rule of `env.layers` that cannot be read, matches nothing, or contradicts."""


class BudgetError(BitAllocError, ValueError):
    """Raised for a budget that no allocation can meet; names the smallest reachable value."""


class ActionError(BitAllocError, ValueError):
    """Raised for an action that the mask forbids."""


class EvaluationLimitError(BitAllocError, RuntimeError):
    """Raised when an evaluation is asked for and the limit is used up."""
