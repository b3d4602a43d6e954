"""BayesConfig: what is asked of the posterior."""

from dataclasses import dataclass

from agents.judging.config import Judged
from env.errors import TaskError
from quant.records.ranges import Natural, check_ranges


@dataclass(frozen=True, kw_only=True, slots=True)
class BayesConfig(Judged):
    """How samples of the posterior choose."""

    posterior: bool = True
    """Answer what is best by the posterior of the hidden responses (a model, which all evaluations
    teach), not the best score."""
    race: Natural = 3
    """Of the evaluations, the last so many, and at most a quarter, go to the best few: each is
    evaluated again with other seeds. With `env.weights: reset` alone."""

    def __post_init__(self) -> None:
        """Refuse a race that is no number of evaluations."""
        check_ranges(self, "bayes.", TaskError)
