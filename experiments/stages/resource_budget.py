"""Resource budget: from what the user asked for, and what was measured, to absolute limits."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from env.decisions.budget import LEAST_GAIN, Budget, BudgetConfig
from env.errors import BudgetError
from hardware.measuring.measurement import Measurement
from quant.objective.metric import ACCURACY, Metric
from quant.records.json_form import EXACT, from_plain

ALL_8 = 8
_SHARE = 1 / 3
"""Default budget: this far from the fastest uniform allocation's figure towards all-8's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UniformFigures:
    """What one uniform allocation takes."""

    latency_ms: float
    model_bytes: int
    energy_mj: float | None = None
    """None where there is no meter."""
    stable: bool = True
    """Whether its timing was; of one that was not, little follows."""
    predicted_ms: float | None = None
    """What the layer table says it takes; None where nobody asked it."""

    __pydantic_config__ = EXACT


Shares = Mapping[int, float]
"""`{bits: share}`: a limit that is made of what uniform allocations take, such as `{8: 0.7}`; empty
for one that is absolute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedBudget:
    """The limits of a run, and one line that says where they come from.

    A limit that is a share is one of a reference *timed beside the candidate*: a machine that is
    slower now than when the run began is slower for both.
    """

    budget: Budget
    """As the uniform allocations were measured when it was decided."""
    reason: str
    latency_shares: Shares = field(default_factory=dict)
    energy_shares: Shares = field(default_factory=dict)

    def beside(self, uniform: Mapping[int, Measurement]) -> Budget:
        """Return the limits that the uniform allocations, measured now, make.

        Args:
            uniform: By bits; those in the shares among them.
        """
        latency_ms = _sum(
            self.latency_shares, {bits: item.median_ms for bits, item in uniform.items()}
        )
        energy_mj = _sum(
            self.energy_shares, {bits: item.energy_mj for bits, item in uniform.items()}
        )
        return replace(
            self.budget,
            latency_ms=self.budget.latency_ms if latency_ms is None else latency_ms,
            energy_mj=self.budget.energy_mj if energy_mj is None else energy_mj,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the form of JSON, which has a name for each limit."""
        shares = {"latency_shares": self.latency_shares, "energy_shares": self.energy_shares}
        return {**asdict(self.budget), "reason": self.reason, **shares}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "DecidedBudget":
        """Read the form of JSON; limits of older versions are absolute.

        Raises:
            ValueError: it is of another form.
        """
        shares = {
            name: from_plain(dict[int, float], document.get(name, {}))
            for name in ("latency_shares", "energy_shares")
        }
        limits = {
            name: value
            for name, value in document.items()
            if name not in shares and name != "reason"
        }
        return cls(budget=from_plain(Budget, limits), reason=document["reason"], **shares)


def _sum(shares: Shares, figures: Mapping[int, float | None]) -> float | None:
    """Return the sum of the shares; None for no share, or where a figure is not known."""
    found = [(share, figures.get(bits)) for bits, share in shares.items()]
    known = [share * figure for share, figure in found if figure is not None]
    return sum(known) if known and len(known) == len(found) else None


def latency_between(uniform: Mapping[int, UniformFigures], share: float) -> DecidedBudget:
    """Return a limit so far on the way from the fastest uniform allocation's time to all-8's.

    Args:
        uniform: Figures of the uniform allocations by bits, 8 among them.
        share: 0 for the fastest, 1 for all-8.
    """
    bits = min(uniform, key=lambda width: uniform[width].latency_ms)
    fastest_ms, all_8_ms = uniform[bits].latency_ms, uniform[ALL_8].latency_ms
    return DecidedBudget(
        budget=Budget(latency_ms=fastest_ms + share * (all_8_ms - fastest_ms)),
        reason=f"{100 * share:g} % of the way from uniform {bits} bits ({fastest_ms:.4f} ms) "
        f"to 8 bits ({all_8_ms:.4f} ms)",
        latency_shares={ALL_8: 1.0} if bits == ALL_8 else _both(bits, share),
    )


def _both(bits: int, share: float) -> Shares:
    """Return the shares of a uniform allocation and of all-8; one that is none is left out."""
    return {width: part for width, part in ((bits, 1.0 - share), (ALL_8, share)) if part}


def decide_budget(
    config: BudgetConfig, uniform: Mapping[int, UniformFigures], metric: Metric = ACCURACY
) -> DecidedBudget:
    """Turn ratios and defaults into milliseconds, bytes and millijoules.

    Args:
        config: What the user asked for.
        uniform: Measured figures of the uniform allocations by bits, 8 among them.
        metric: What may be lost, where that is asked.
    """
    all_8 = uniform[ALL_8]
    if config == BudgetConfig(accuracy_drop=config.accuracy_drop):  # no resource is limited
        if config.accuracy_drop is None:
            return _default(uniform)
        return DecidedBudget(budget=Budget(), reason=_inverse(config.accuracy_drop, metric))
    latency_ms, model_bytes, energy_mj = config.latency_ms, config.model_bytes, config.energy_mj
    latency_shares: Shares = {}
    energy_shares: Shares = {}
    if config.latency_ratio is not None:
        latency_ms = config.latency_ratio * all_8.latency_ms
        latency_shares = {ALL_8: config.latency_ratio}
    reason = "as asked for"
    if config.latency_share is not None:
        between = latency_between(uniform, config.latency_share)
        latency_ms, latency_shares = between.budget.latency_ms, between.latency_shares
        reason = between.reason
    if config.model_bytes_ratio is not None:
        model_bytes = int(config.model_bytes_ratio * all_8.model_bytes)
    if config.energy_ratio is not None:
        assert all_8.energy_mj is not None  # the configuration was refused otherwise
        energy_mj = config.energy_ratio * all_8.energy_mj
        energy_shares = {ALL_8: config.energy_ratio}
    return DecidedBudget(
        budget=Budget(latency_ms=latency_ms, model_bytes=model_bytes, energy_mj=energy_mj),
        reason=reason,
        latency_shares=latency_shares,
        energy_shares=energy_shares,
    )


def beside_all_8(
    error: BudgetError, uniform: Mapping[int, UniformFigures], budget: Budget
) -> BudgetError:
    """Return a refused budget's error with what shares are shares of, and what else may help."""
    all_8 = uniform[ALL_8]
    if budget.latency_ms is None or buy_time(uniform):
        hint = error.hint
    else:
        hint = "bits buy no time on this device: limit bytes, as by --budget.model-bytes-ratio 0.5"
    return BudgetError(
        f"{error.message}; uniform 8 bits takes {all_8.latency_ms:.4g} ms and "
        f"{all_8.model_bytes} bytes",
        hint,
    )


def buy_time(uniform: Mapping[int, UniformFigures]) -> bool:
    """Whether bits save time that timings repeat well enough to see.

    Where the timing of the fastest or of all-8 is unstable, as on a busy machine, the layer table
    has to say so too: it is made of many short timings, and a slow minute hits all widths alike.
    """
    fastest = min(uniform.values(), key=lambda figures: figures.latency_ms)
    all_8 = uniform[ALL_8]
    if not (fastest.stable and all_8.stable) and all_8.predicted_ms is not None:
        known = [item.predicted_ms for item in uniform.values() if item.predicted_ms is not None]
        if not _saves(min(known), all_8.predicted_ms):
            return False
    return _saves(fastest.latency_ms, all_8.latency_ms)


def _saves(fastest_ms: float, all_8_ms: float) -> bool:
    return fastest_ms <= (1 - LEAST_GAIN) * all_8_ms


def _inverse(drop: float, metric: Metric) -> str:
    if not metric.more_is_better:
        more = 100 * math.expm1(drop)
        return f"the fastest whose {metric.name} is at most {more:.3g} % above uniform 8 bits'"
    lost = f"{metric.factor * drop:g} {metric.difference_unit}".strip()
    return f"the fastest that loses at most {lost} of uniform 8 bits' {metric.name}"


def _default(uniform: Mapping[int, UniformFigures]) -> DecidedBudget:
    all_8 = uniform[ALL_8]
    narrower = {bits: figures for bits, figures in uniform.items() if bits != ALL_8} or uniform
    bits = min(narrower, key=lambda width: narrower[width].latency_ms)
    fastest_ms = uniform[bits].latency_ms
    if buy_time(uniform):
        latency_ms = fastest_ms + _SHARE * (all_8.latency_ms - fastest_ms)
        reason = (
            f"a third of the way from uniform {bits} bits ({fastest_ms:.4f} ms) "
            f"to 8 bits ({all_8.latency_ms:.4f} ms)"
        )
        if not (uniform[bits].stable and all_8.stable):
            reason += "; the machine was too busy for stable times of both"
        return DecidedBudget(
            budget=Budget(latency_ms=latency_ms),
            reason=reason,
            latency_shares={bits: 1 - _SHARE, ALL_8: _SHARE},
        )
    smallest = min(figures.model_bytes for figures in narrower.values())
    # Layers that are left in float can make it larger than all-8.
    model_bytes = int(smallest + _SHARE * max(0, all_8.model_bytes - smallest))
    why = f"uniform {bits} bits takes {fastest_ms:.4f} ms, 8 bits {all_8.latency_ms:.4f} ms"
    if _saves(fastest_ms, all_8.latency_ms):
        why = f"by the layer table; the machine was too busy for stable times: {why}"
    reason = (
        f"bits buy no time on this device ({why}), so model bytes are the budget, by the same rule"
    )
    return DecidedBudget(budget=Budget(model_bytes=model_bytes), reason=reason)
