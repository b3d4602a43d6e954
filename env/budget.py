"""Budget: the resources an allocation may use, in milliseconds and bytes."""

from dataclasses import dataclass

from env.errors import BudgetError

__all__ = ["MEASURED_TOLERANCE", "Budget", "BudgetConfig"]

MEASURED_TOLERANCE = 0.02
"""A measured latency may exceed the budget by this share: timings repeat to about 2 %."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetConfig:
    """What the user asks for.

    With nothing set: a third of the way from the fastest uniform allocation's measured time to
    all-8's, or the same of model bytes where bits buy no time.
    """

    latency_ms: float | None = None
    """Largest latency in milliseconds."""
    latency_ratio: float | None = None
    """Largest latency as a share of the all-8-bit allocation's measured latency."""
    model_bytes: int | None = None
    """Largest model size in bytes."""
    model_bytes_ratio: float | None = None
    """Largest model size as a share of the all-8-bit allocation's."""

    def __post_init__(self) -> None:
        """Refuse values that are not positive, and two ways of saying the same limit."""
        for name in ("latency_ms", "latency_ratio", "model_bytes", "model_bytes_ratio"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BudgetError(f"budget.{name}: expected more than 0, found {value}")
        for name in ("latency", "model_bytes"):
            absolute = "latency_ms" if name == "latency" else "model_bytes"
            if getattr(self, absolute) is not None and getattr(self, f"{name}_ratio") is not None:
                raise BudgetError(
                    f"budget.{absolute} and budget.{name}_ratio are both set; give one of them"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A resource budget in absolute units; None leaves a resource free."""

    latency_ms: float | None = None
    model_bytes: int | None = None

    def allows(self, *, latency_ms: float | None, model_bytes: int, tolerance: float = 0.0) -> bool:
        """Whether figures lie inside, latency with a relative tolerance for measured times."""
        if self.latency_ms is not None and (
            latency_ms is None or latency_ms > self.latency_ms * (1.0 + tolerance)
        ):
            return False
        return self.model_bytes is None or model_bytes <= self.model_bytes

    def __str__(self) -> str:
        """Return the limits for people."""
        parts = []
        if self.latency_ms is not None:
            parts.append(f"latency <= {self.latency_ms:.4g} ms")
        if self.model_bytes is not None:
            parts.append(f"model <= {self.model_bytes} bytes")
        return ", ".join(parts) or "none"
