"""Fitting: the hyperparameters of which the measured networks are likeliest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from env.responses.columns import Floats
from env.responses.laplace import approximate
from env.responses.layer_facts import FACTS
from env.responses.prior import WIDE, ResponsePrior
from quant.sensitivities import SensitivityKind
from tools.fit_responses.rows import MeasuredNetwork

_LOGS = (
    *("common_sd", "slope_sd", "per_bit_sd", "kind_sd"),
    *("decision_sd", "decision_per_bit_sd", "width_sd", "noise", "noise_log_sd"),
)
"""Spreads are positive: their logarithms are moved."""
_LINE = ("intercept", "slope", "per_bit")
_FACT_SD = 0.3
"""What a fact may be worth: few networks would else explain themselves by it."""
_LOG_RANGE = (-12.0, 3.0)
"""Of the spreads' logarithms: retraining that is not kept adds next to no noise."""
_LOG_SD = 1.0
"""How far spreads may lie from the guess, in logarithms."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A prior, and how likely it makes what was measured."""

    prior: ResponsePrior
    evidence: float
    """Log marginal likelihood of all networks' losses, by Laplace's approximation."""
    guess_evidence: float
    """Of the guess that the fit began with."""


def fit_prior(
    networks: Sequence[MeasuredNetwork], kind: SensitivityKind, source: str, *, facts: bool
) -> Fitted:
    """Return the likeliest prior; weak penalties hold what few networks cannot tell.

    Args:
        networks: As measured.
        kind: Of the sensitivities it is to read.
        source: Written into the prior.
        facts: Whether layer facts may matter.
    """
    start = replace(WIDE, kind=kind, source=source)
    parts = [(network.columns(kind), network.likelihood()) for network in networks]
    guess = np.array([*(getattr(start, name) for name in _LINE), *_logs(start)])
    if facts:
        guess = np.concatenate([guess, np.zeros(len(FACTS))])

    def evidence(prior: ResponsePrior) -> float:
        return sum(approximate(prior, *part).evidence for part in parts)

    def cost(values: Floats) -> float:
        spreads = values[len(_LINE) : len(_LINE) + len(_LOGS)]
        rest = values[len(_LINE) + len(_LOGS) :]
        held = ((spreads - _logs(start)) / _LOG_SD) ** 2
        return 0.5 * float(held.sum() + ((rest / _FACT_SD) ** 2).sum()) - evidence(
            _prior(start, values)
        )

    found = minimize(cost, guess, method="L-BFGS-B", options={"maxiter": 40, "ftol": 1e-6})
    prior = _prior(start, found.x)
    return Fitted(prior=prior, evidence=evidence(prior), guess_evidence=evidence(start))


def _logs(prior: ResponsePrior) -> Floats:
    return np.log([getattr(prior, name) for name in _LOGS])


def _prior(start: ResponsePrior, values: Floats) -> ResponsePrior:
    line = dict(zip(_LINE, values.tolist(), strict=False))
    spreads = np.exp(np.clip(values[len(_LINE) :][: len(_LOGS)], *_LOG_RANGE))
    rest = values[len(_LINE) + len(_LOGS) :].tolist()
    return replace(
        start,
        **line,
        **dict(zip(_LOGS, spreads.tolist(), strict=True)),
        facts=tuple(rest) or start.facts,
    )
