"""Budget: the resources an allocation may use, in milliseconds, bytes and millijoules."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from env.errors import BudgetError
from quant.records.json_form import EXACT
from quant.records.ranges import check_ranges, more_than, within

MEASURED_TOLERANCE = 0.02
"""A measured latency or energy may exceed the budget by this share: timings repeat to about 2 %."""

LEAST_GAIN = 0.05
"""Time that the fastest uniform allocation must save for a latency budget to make sense: a few
times the 2 % to which timings repeat."""

_Limit = Annotated[float | None, more_than(0)]


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetConfig:
    """What the user asks for.

    With nothing set: a third of the way from the fastest uniform allocation's measured time to
    all-8's, or the same of model bytes where bits buy no time.
    """

    latency_ms: _Limit = None
    """Largest latency in milliseconds."""
    latency_ratio: _Limit = None
    """Largest latency as a share of the all-8-bit allocation's measured latency."""
    latency_share: Annotated[float | None, within(0, 1)] = None
    """Largest latency as a share of the way from the fastest uniform allocation's measured latency
    (0) to all-8's (1)."""
    model_bytes: Annotated[int | None, more_than(0)] = None
    """Largest model size in bytes."""
    model_bytes_ratio: _Limit = None
    """Largest model size as a share of the all-8-bit allocation's."""
    energy_mj: _Limit = None
    """Largest gross energy of one execution in millijoules; needs an energy meter."""
    energy_ratio: _Limit = None
    """Largest energy as a share of the all-8-bit allocation's measured energy."""
    accuracy_drop: _Limit = None
    """The inverse question: be as fast as possible and lose at most this much (0.01: one point) of
    the all-8-bit allocation's accuracy on the search split. Of another metric: this much of it, or,
    where less is better, this share of it (0.01: one percent more, near enough)."""

    @property
    def energy_key(self) -> str:
        """Name of the energy limit that is set; empty for none."""
        for name in ("energy_mj", "energy_ratio"):
            if getattr(self, name) is not None:
                return f"budget.{name}"
        return ""

    def __post_init__(self) -> None:
        """Refuse values that are not positive, and two ways of saying the same limit."""
        check_ranges(self, "budget.", BudgetError)
        for absolute, ratio in (
            ("latency_ms", "latency_ratio"),
            ("latency_ms", "latency_share"),
            ("latency_ratio", "latency_share"),
            ("model_bytes", "model_bytes_ratio"),
            ("energy_mj", "energy_ratio"),
        ):
            if getattr(self, absolute) is not None and getattr(self, ratio) is not None:
                raise BudgetError(
                    f"budget.{absolute} and budget.{ratio} are both set; give one of them"
                )


class Evaluated(Protocol):
    """What an evaluation says of the budgeted resources."""

    @property
    def latency_ms(self) -> float | None:
        """None where it is not known."""

    @property
    def model_bytes(self) -> int:
        """Known exactly."""

    @property
    def energy_mj(self) -> float | None:
        """None where it is not known."""

    @property
    def error(self) -> str:
        """Empty unless the candidate failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A resource budget in absolute units; None leaves a resource free."""

    latency_ms: float | None = None
    model_bytes: int | None = None
    energy_mj: float | None = None

    __pydantic_config__ = EXACT

    def allows(
        self,
        *,
        latency_ms: float | None,
        model_bytes: int,
        energy_mj: float | None = None,
        tolerance: float = 0.0,
    ) -> bool:
        """Whether figures lie inside, what is measured with a relative tolerance.

        Args:
            latency_ms: None for unknown, which no latency budget allows.
            model_bytes: Known exactly.
            energy_mj: None for unknown, which no energy budget allows.
            tolerance: Share by which latency and energy may exceed their limits.
        """
        for limit, found in ((self.latency_ms, latency_ms), (self.energy_mj, energy_mj)):
            if limit is not None and (found is None or found > limit * (1.0 + tolerance)):
                return False
        return self.model_bytes is None or model_bytes <= self.model_bytes

    def admits(self, evaluation: Evaluated, *, tolerance: float = 0.0) -> bool:
        """Whether an evaluation did not fail and lies inside, as `allows` says.

        Args:
            evaluation: Measured, or predicted in practice.
            tolerance: `MEASURED_TOLERANCE` for what was measured.
        """
        return not evaluation.error and self.allows(
            latency_ms=evaluation.latency_ms,
            model_bytes=evaluation.model_bytes,
            energy_mj=evaluation.energy_mj,
            tolerance=tolerance,
        )

    def differs(self, other: "Budget", *, tolerance: float) -> bool:
        """Whether a limit of latency or energy is further from the other's than a share of it."""
        pairs = ((self.latency_ms, other.latency_ms), (self.energy_mj, other.energy_mj))
        return any(
            mine is not None and theirs is not None and abs(mine - theirs) > tolerance * theirs
            for mine, theirs in pairs
        )

    def __str__(self) -> str:
        """Return the limits for people."""
        parts = []
        if self.latency_ms is not None:
            parts.append(f"latency <= {self.latency_ms:.4g} ms")
        if self.model_bytes is not None:
            parts.append(f"model <= {self.model_bytes} bytes")
        if self.energy_mj is not None:
            parts.append(f"energy <= {self.energy_mj:.4g} mJ")
        return ", ".join(parts) or "none"
