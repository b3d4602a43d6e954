"""StagedTrainings: retrainings spread over the decisions, shared where they begin alike."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from env.decisions.decisions import DecisionSpace
from env.evaluating.evaluation import Evaluation
from env.evaluating.seen_look import SeenLook
from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.layers import MAX_BITS
from quant.network import QuantizedNetwork
from quant.retraining.basis import Basis, finite
from quant.retraining.retrained import Retrained
from quant.retraining.staged import StagedRetraining, staged_images_seen

_VALUES_KEPT = 30_000_000
"""Weights of the networks that are kept to go on from, all together."""
_MOST_KEPT = 64

LookLosses = tuple[torch.Tensor, ...]
"""Losses of the held-back images, `[N]` each: before the first decision, and after each."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StagedEnd:
    """What a staged retraining came to."""

    network: QuantizedNetwork
    retraining: Retrained
    losses: LookLosses
    """Fewer than all where the training did not stay finite."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Place:
    """Some decisions made, and what was seen before the first and after each."""

    staged: StagedRetraining | None
    """None: the training did not stay finite."""
    losses: LookLosses


class StagedTrainings:
    """Goes on from the longest beginning that is still known; what it gives does not depend on it.

    Which images are trained on, in which order, is one for all allocations of a repeat. Nothing but
    training images is looked at: looks are at some of those that are held back.
    """

    def __init__(self, basis: Basis, space: DecisionSpace, seed_of: Callable[[int], int]) -> None:
        """Train nothing yet.

        Args:
            basis: What retrainings share.
            space: Which decisions there are, and in which order.
            seed_of: Returns what orders the images of a repeat.
        """
        self._basis, self._space, self._seed_of = basis, space, seed_of
        values = sum(value.numel() for value in basis.checkpoint.parameters())
        self._kept = max(2, min(_MOST_KEPT, _VALUES_KEPT // max(1, values)))
        self._places: OrderedDict[tuple[int, int, Allocation], _Place] = OrderedDict()

    @property
    def images_seen(self) -> int:
        """How many training images one retraining looks at, repeats counted."""
        basis, decisions = self._basis, len(self._space.decisions)
        return staged_images_seen(basis.config, basis.count, decisions)

    def losses(self, bits: Sequence[int], repeat: int = 0) -> LookLosses:
        """Return what is seen up to the last of some decisions.

        Args:
            bits: Widths of the first decisions.
            repeat: Which order of the images.

        Raises:
            TrainingError: the float network's losses are not finite.
        """
        undecided = (MAX_BITS,) * (len(self._space.decisions) - len(bits))
        allocation = self._space.allocation((*bits, *undecided))
        return self._place(allocation, len(bits), repeat).losses

    def known_look(self, bits: Sequence[int], evaluations: Iterable[Evaluation]) -> SeenLook | None:
        """Return what an evaluation that begins alike has seen there; None where none has.

        Args:
            bits: Widths of the first decisions.
            evaluations: Of the same search.
        """
        for evaluation in evaluations:
            if len(evaluation.looks) < len(bits) or evaluation.repeat:
                continue
            decided = self._space.bits_of(evaluation.allocation)[: len(bits)]
            if decided == tuple(bits) and self._space.admits(evaluation.allocation):
                return evaluation.looks[len(bits) - 1]
        return None

    def finish(self, allocation: Allocation, repeat: int = 0) -> StagedEnd:
        """Return the end of the retraining: what was trained, or its start where that is better.

        Raises:
            TrainingError: weights or values are not finite before the first step.
        """
        place = self._place(allocation, len(self._space.decisions), repeat)
        if place.staged is None:
            start = self._basis.checkpoint.clone()
            start.set_allocation(allocation)
            retraining = Retrained(kept="start", start_loss=finite(self._basis.start(start)))
            return StagedEnd(network=start, retraining=retraining, losses=place.losses)
        staged = place.staged.fork()
        retraining = staged.finish()
        return StagedEnd(network=staged.network, retraining=retraining, losses=place.losses)

    def _place(self, allocation: Allocation, decided: int, repeat: int) -> _Place:
        stage = self._stage(allocation, decided)
        key = (repeat, decided, stage)
        if key not in self._places:
            if decided:
                before = self._place(allocation, decided - 1, repeat)
                place = self._deeper(before, stage, decided)
            else:
                place = self._begin(stage, repeat)
            self._places[key] = place
        self._places.move_to_end(key)
        while len(self._places) > self._kept:
            self._places.popitem(last=False)
        return self._places[key]

    def _begin(self, stage: Allocation, repeat: int) -> _Place:
        staged = StagedRetraining(
            self._basis, decisions=len(self._space.decisions), seed=self._seed_of(repeat)
        )
        staged.network.set_allocation(stage)
        return _Place(staged=staged, losses=(staged.look().losses,))

    def _deeper(self, before: _Place, stage: Allocation, decided: int) -> _Place:
        """Make one decision more, in a retraining of its own."""
        if before.staged is None:
            return before
        staged = before.staged.fork()
        layers = self._space.layers_of(self._space.decisions[decided - 1])
        try:
            look = staged.decide(stage, layers)
        except TrainingError:
            return _Place(staged=None, losses=before.losses)
        return _Place(staged=staged, losses=(*before.losses, look.losses))

    def _stage(self, allocation: Allocation, decided: int) -> Allocation:
        """Return an allocation with 8 bits for what the later decisions decide."""
        later = {part for decision in self._space.decisions[decided:] for part in decision.parts}
        items = []
        for name, bits in allocation.items:
            weight, activation = self._space.parts[name]
            pair = replace(
                bits,
                weight_bits=MAX_BITS if weight in later else bits.weight_bits,
                activation_bits=MAX_BITS if activation in later else bits.activation_bits,
            )
            items.append((name, pair))
        return Allocation(tuple(items))
