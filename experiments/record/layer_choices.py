"""What a run's rules leave each layer, for people and for the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from env.decisions.decisions import DecisionSpace, Part
from quant.layers import width_name
from quant.records.json_form import EXACT


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerChoice:
    """What one layer may be."""

    layer: str
    weights: str
    """Widths with commas between them; one where nothing is decided."""
    activations: str
    tied: str = ""
    """`tied as 3`: whatever has the same number has one width, decided at that step."""

    __pydantic_config__ = EXACT

    def __str__(self) -> str:
        """Return the menus, as a rule has them."""
        return f"{self.weights}/{self.activations}" + (f", {self.tied}" if self.tied else "")


def list_choices(space: DecisionSpace) -> list[LayerChoice]:
    """Return what each layer may be, in execution order; nothing where no rule says anything."""
    if not space.rules:
        return []
    return [
        LayerChoice(
            layer=name,
            weights=_menu(space, weight),
            activations=_menu(space, activation),
            tied=_tied(space, [part for part in (weight, activation) if part is not None]),
        )
        for name, (weight, activation) in space.parts.items()
    ]


def _menu(space: DecisionSpace, part: Part | None) -> str:
    return ",".join(width_name(bits) for bits in space.menu(part))


def _tied(space: DecisionSpace, parts: Sequence[Part]) -> str:
    """Return the numbers of decisions that decide other widths too."""
    steps = dict.fromkeys(space.step_of[part] for part in parts if part in space.step_of)
    shared = [step for step in steps if len(space.decisions[step].parts) > 1]
    return " and ".join(f"tied as {step + 1}" for step in shared)
