"""TokenObserver: the whole network at every step, one token for each decision.

What `Observer` shows is one decision at a time; how much budget a decision should take depends on
all the others. Here every decision is a row of numbers with the same meaning in every network, so
that one policy reads networks of any length, and what is believed of the losses (sensitivities, or
a sample of a posterior) can be exchanged from one episode to the next.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from env.decisions.costs import layer_bytes
from env.decisions.decisions import DecisionSpace
from env.errors import TaskError
from env.evaluating.seen_look import SeenLook
from env.responses.columns import Floats
from env.responses.layer_facts import FACTS, layer_facts
from hardware.layers.table import LayerTable
from quant.layers import MAX_BITS, MIN_BITS

_Choices = Callable[[int, tuple[int, ...]], tuple[int, ...]]
"""From the step that decides a number, -1 for a fixed one, and its menu to the widths it may be."""
TokenObservation = dict[str, npt.NDArray[np.float32]]

WIDTHS = tuple(range(MIN_BITS, MAX_BITS + 1))
"""Widths that tokens tell of, and the actions of a policy that reads them."""
_AT_WIDTHS = ("offered", "loss", "saving", "even_saving", "least_saving", "shrink")
STATE = ("is_there", "is_current", "is_decided", "bits")
"""Columns that change within an episode, and the one that tells tokens from padding."""
TOKEN = (*STATE, *FACTS, *(f"{name}_{bits}" for name in _AT_WIDTHS for bits in WIDTHS))
"""What the numbers of a token are."""
WHOLE = (
    *("latency_left", "model_bytes_left", "energy_left"),
    *("latency_budget", "model_bytes_budget", "energy_budget", "progress", "log_decisions"),
    *(f"saving_now_{bits}" for bits in WIDTHS),
)
"""What is shown beside the tokens."""
JOINT = (*(f"joint_saving_{bits}" for bits in WIDTHS), "partner_loss")
"""Rows, of a column for each width of the partners: what the layers of the current decision save of
their longest time at each of its widths, and what the partners lose. Partners are what else decides
those layers' times and is not decided yet: of weights the tensor that they meet. A time is of both,
and what a width is worth shows only beside the width that will meet it. Shares, no logarithms."""
LOG_SPAN = 8.0
"""Logarithms that lie between what is shown as 0 and as 1."""
_LEAST = math.exp(-LOG_SPAN)
_FACT_SCALE = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Touched:
    """A layer that a decision is about, and the steps that decide its two numbers."""

    times_us: Mapping[tuple[int, int], float]
    weight: int
    activation: int
    weight_menu: tuple[int, ...]
    activation_menu: tuple[int, ...]

    def least_us(self, step: int, bits: int, choices: _Choices) -> float:
        """Return its least time with a step's width, and the others as they may be."""
        one = (bits,)
        weights = one if self.weight == step else choices(self.weight, self.weight_menu)
        activations = (
            one if self.activation == step else choices(self.activation, self.activation_menu)
        )
        times = self.times_us
        return min([times[weight, width] for weight in weights for width in activations])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Now:
    """What each width of the current decision saves."""

    alone: list[float]
    """Of the widest, where what is not decided takes least time; logarithms."""
    together: Floats
    """Of the longest time, with each width of the partners, `[7, 7]`; shares."""


class TokenObserver:
    """Builds the observations of one network."""

    names = (*TOKEN, *WHOLE, *JOINT)
    """What the numbers of every token are, of what is shown beside them, and rows of numbers."""

    def __init__(self, space: DecisionSpace, table: LayerTable, *, length: int = 0) -> None:
        """Compute what does not change from one episode to the next.

        Args:
            space: What may be decided; widths from 2 to 8.
            table: Measured times.
            length: Tokens, of which those beyond the decisions are empty; 0 for the decisions.

        Raises:
            TaskError: a menu has other widths, or there are more decisions than tokens.
        """
        if set(space.widths) - set(WIDTHS):
            raise TaskError("expected widths of 2 to 8 bits to be decided, found float")
        count = len(space.decisions)
        self._space = space
        self._length = length or count
        if self._length < count:
            raise TaskError(f"expected at most {self._length} decisions, found {count}")
        touched = {name: _touched(space, table, name) for name in space.parts}
        self._touched = [
            [touched[name] for name in space.layers_of(decision)] for decision in space.decisions
        ]
        self._others = [
            sorted({step for layer in layers for step in (layer.weight, layer.activation)} - {-1})
            for layers in self._touched
        ]
        """What else decides the times of those layers, and the decision itself."""
        self._known: dict[tuple[int, tuple[int, ...]], _Now] = {}
        full, least, even = (self._times(choices) for choices in (_widest, _any, _even))
        span = max(1e-12, float((full[:, -1] - full.min(1)).sum()))
        self._span = span
        self._tokens = np.zeros((self._length, len(TOKEN)), dtype=np.float32)
        of = {name: TOKEN.index(f"{name}_{MIN_BITS}") for name in _AT_WIDTHS}
        self._at = {name: slice(first, first + len(WIDTHS)) for name, first in of.items()}
        tokens = self._tokens[:count]
        tokens[:, TOKEN.index("is_there")] = 1.0
        facts = np.array(layer_facts(space, space.decisions))
        tokens[:, len(STATE) : len(STATE) + len(FACTS)] = np.clip(facts / _FACT_SCALE, -1, 1)
        offered = np.array([[w in decision.menu for w in WIDTHS] for decision in space.decisions])
        tokens[:, self._at["offered"]] = offered
        for name, times in (("saving", full), ("even_saving", even), ("least_saving", least)):
            saving = np.maximum(0.0, times[:, -1:] - times) / span
            tokens[:, self._at[name]] = np.where(offered, _as_log(saving), 0.0)
        sizes = self._sizes()
        shrink = (sizes[:, -1:] - sizes) / max(1.0, float((sizes[:, -1] - sizes.min(1)).sum()))
        tokens[:, self._at["shrink"]] = np.where(offered, _as_log(shrink), 0.0)
        self._offered = offered
        self._partners = np.zeros(offered.shape)
        self.space = self.space_of(self._length)

    @staticmethod
    def space_of(length: int) -> spaces.Dict:
        """Return the space of observations of so many tokens."""
        return spaces.Dict(
            {
                "tokens": spaces.Box(-1.0, 1.0, (length, len(TOKEN)), np.float32),
                "whole": spaces.Box(-1.0, 1.0, (len(WHOLE),), np.float32),
                "joint": spaces.Box(0.0, 1.0, (len(JOINT), len(WIDTHS)), np.float32),
            }
        )

    def show(self, responses: Floats) -> None:
        """Show other losses from now on.

        Args:
            responses: Quality lost of each decision at each of `space.widths`,
                `[decisions, widths]`; what is not in a menu is passed over.
        """
        losses = np.zeros(self._offered.shape)
        for place, bits in enumerate(self._space.widths):
            losses[:, bits - MIN_BITS] = np.nan_to_num(responses[:, place])
        losses = np.where(self._offered, np.maximum(losses, 0.0), 0.0)
        total = max(1e-12, float(losses.max(1).sum()))
        self._partners = self._lost_by_partners(losses / total)
        shown = np.where(self._offered, _as_log(losses / total), 0.0)
        self._tokens[: len(losses), self._at["loss"]] = shown

    def observe(
        self,
        bits: Sequence[int],
        left: Sequence[float],
        budget: Sequence[float],
        look: SeenLook | None = None,
    ) -> TokenObservation:
        """Return the observation before decision `len(bits)`; arguments as of `Observer`.

        Looks are not shown.
        """
        count = len(self._space.decisions)
        step = min(len(bits), count - 1)
        tokens = self._tokens.copy()
        tokens[step, STATE.index("is_current")] = 1.0
        tokens[: len(bits), STATE.index("is_decided")] = 1.0
        tokens[: len(bits), STATE.index("bits")] = np.asarray(bits) / MAX_BITS
        now = self._now(step, bits[:step])
        whole = [*left, *budget, len(bits) / count, math.log(count) / LOG_SPAN, *now.alone]
        joint = np.vstack([now.together, self._partners[step]])
        return {
            "tokens": tokens,
            "whole": np.clip(np.asarray(whole, dtype=np.float32), -1.0, 1.0),
            "joint": np.clip(joint, 0.0, 1.0).astype(np.float32),
        }

    def _times(self, choices: Callable[[int], _Choices]) -> Floats:
        """Return microseconds of what each decision touches at each width, `[decisions, WIDTHS]`.

        Args:
            choices: From a decision's width to what else those layers may have.
        """
        found = np.zeros((len(self._space.decisions), len(WIDTHS)))
        for step, decision in enumerate(self._space.decisions):
            for bits in decision.menu:
                found[step, bits - MIN_BITS] = self._time(step, bits, choices(bits))
            widest = found[step, decision.menu[-1] - MIN_BITS]
            found[step, -1] = found[step, -1] or widest  # what 8 bits would take is not offered
        return found

    def _sizes(self) -> Floats:
        """Return bytes of the weights that each decision decides at each width."""
        layers = {layer.name: layer for layer in self._space.layers}
        found = np.zeros((len(self._space.decisions), len(WIDTHS)))
        for step, decision in enumerate(self._space.decisions):
            own = [layers[part.layer] for part in decision.parts if part.kind == "weight"]
            for column, bits in enumerate(WIDTHS):
                width = min(bits, decision.menu[-1])  # what is wider is not offered
                found[step, column] = sum(layer_bytes(layer, width) for layer in own)
        return found

    def _now(self, step: int, bits: Sequence[int]) -> _Now:
        """Return what widths save with what was decided as it is; computed once for each case."""
        key = step, tuple([bits[other] for other in self._others[step] if other < step])
        if (known := self._known.get(key)) is None:
            known = self._known[key] = _Now(
                alone=self._saving_now(step, bits), together=self._saving_together(step, bits)
            )
        return known

    def _saving_now(self, step: int, bits: Sequence[int]) -> list[float]:
        """Return what each width saves of the widest, with what was decided as it is."""
        menu = self._space.decisions[step].menu

        def known(decided: int, offered: tuple[int, ...]) -> tuple[int, ...]:
            return (bits[decided],) if 0 <= decided < len(bits) else offered

        times = {width: self._time(step, width, known) for width in menu}
        saving = [
            max(0.0, times[menu[-1]] - times[width]) / self._span if width in times else 0.0
            for width in WIDTHS
        ]
        return [float(value) for value in _as_log(np.array(saving))]

    def _saving_together(self, step: int, bits: Sequence[int]) -> Floats:
        """Return what each width saves of the longest time with each of the partners, `[7, 7]`.

        Partners whose menu lacks a column's width have the nearest one.
        """
        times = np.zeros((len(WIDTHS), len(WIDTHS)))
        for column, wanted in enumerate(WIDTHS):

            def as_it_is(
                decided: int, offered: tuple[int, ...], wanted: int = wanted
            ) -> tuple[int, ...]:
                known = 0 <= decided < len(bits)
                return (bits[decided] if known else _nearest(offered, wanted),)

            for width in self._space.decisions[step].menu:
                times[width - MIN_BITS, column] = self._time(step, width, as_it_is)
        saved: Floats = np.where(self._offered[step][:, None], times.max() - times, 0.0)
        return saved / self._span

    def _lost_by_partners(self, losses: Floats) -> Floats:
        """Return what the partners of each decision lose at each width, `[decisions, WIDTHS]`."""
        found = np.zeros(losses.shape)
        for step, others in enumerate(self._others):
            for other in others:
                if other > step:
                    menu = self._space.decisions[other].menu
                    found[step] += [losses[other, _nearest(menu, w) - MIN_BITS] for w in WIDTHS]
        return found

    def _time(self, step: int, bits: int, choices: _Choices) -> float:
        """Return the least time of what a decision touches, at a width."""
        return sum([layer.least_us(step, bits, choices) for layer in self._touched[step]])


def _touched(space: DecisionSpace, table: LayerTable, name: str) -> _Touched:
    weight, activation = space.parts[name]
    steps = [-1 if step is None else step for step in space.steps(name)]
    return _Touched(
        times_us=table.times_us[name],
        weight=steps[0],
        activation=steps[1],
        weight_menu=space.menu(weight),
        activation_menu=space.menu(activation),
    )


def _any(_: int) -> _Choices:
    return lambda _, menu: menu


def _widest(_: int) -> _Choices:
    return lambda _, menu: menu[-1:]


def _even(bits: int) -> _Choices:
    return lambda _, menu: (_nearest(menu, bits),)


def _nearest(menu: Sequence[int], bits: int) -> int:
    return min(menu, key=lambda width: (abs(width - bits), width))


def _as_log(shares: Floats) -> Floats:
    """Return shares of a whole as numbers in [0, 1]: their logarithms, of which 1 is all of it."""
    logs: Floats = 1.0 + np.log(np.maximum(shares, _LEAST)) / LOG_SPAN
    return np.clip(logs, 0.0, 1.0)
