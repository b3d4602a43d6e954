"""Judged: the settings of what every method may share."""

from dataclasses import dataclass

from quant.records.ranges import Natural


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """Who says which allocation is best; each part can be switched on and off by itself."""

    posterior: bool = False
    """Answer what is best by the posterior of the hidden responses (a model, which all evaluations
    teach), not the best score."""
    race: Natural = 0
    """Of the evaluations, the last so many, and at most a quarter, go to the best few: each is
    evaluated again with other seeds. With `env.weights: reset` alone."""
    looks: bool = False
    """The posterior learns from looks, too: what each decision did to the loss while a candidate
    was retrained (`env.retrain: during`, or a table of truth). It learns by itself how far they are
    to be believed."""
    interactions: bool = False
    """The posterior believes that decisions do something together, beyond the sum of what each does
    alone, where left-out evaluations of the search are clearly better predicted so."""
