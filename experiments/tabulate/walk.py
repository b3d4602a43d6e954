r"""Walk: all allocations, depth first, so that those that begin alike share their first stages.

A staged retraining of the first decisions does not depend on the later ones. In a space of seven
decisions of three widths, walked whole, 3,279 stages do the work of 15,309.

    decide 2 --- decide 2 --- ... row
            \-- decide 3 --- ... row
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from env.evaluating.evaluator import order_seed
from env.tasks.task import Split
from experiments.tabulate.starts import Starts
from experiments.truth.row import ALL_8, TruthRow, pack_hits
from experiments.truth.subspace import Subspace
from hardware.measuring.lock import training_lock
from quant.convert import convert
from quant.layers import MAX_BITS
from quant.network import QuantizedNetwork
from quant.objective.objective import Objective
from quant.objective.paired import paired
from quant.objective.scores import ImageScores
from quant.retraining.basis import Basis
from quant.retraining.integer_scores import integer_scores
from quant.retraining.staged import StagedRetraining
from quant.tensors.moving import device_of


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is tabulated."""

    subspace: Subspace
    basis: Basis
    search: Split
    """What every retraining is scored on."""
    objective: Objective
    run_seed: int
    """Of the float network; with a retraining's number it orders the images."""

    def score(self, network: QuantizedNetwork) -> ImageScores:
        """Return what a network, in integers, makes of the search images."""
        images, labels = self.search.images, self.search.labels
        device = device_of(network)
        return integer_scores(convert(network), images, labels, self.objective, device=device)

    @cached_property
    def references(self) -> dict[int, tuple[TruthRow, ImageScores]]:
        """All-8's row and scores by seed, as far as they were retrained."""
        return {}

    @cached_property
    def starts(self) -> Starts:
        """What compensation alone makes of allocations, kept for all seeds."""
        return Starts(self.basis, self.score)


def walk(subject: Subject, wanted: Sequence[int], seed: int) -> Iterator[TruthRow]:
    """Yield the rows of allocations, all with one seed, and all-8's before them.

    While a program is timed on this machine, it waits: at the next stage, not after the last row.

    Args:
        subject: What is tabulated.
        wanted: Numbers of allocations, in increasing order.
        seed: Number of the retraining.

    Raises:
        TrainingError: weights or values are not finite.
    """
    begin = StagedRetraining(
        subject.basis,
        decisions=len(subject.subspace.menus),
        seed=order_seed(subject.run_seed, seed),
    )
    if seed not in subject.references:
        at = _Place(staged=begin.fork(), bits=(), looks=())
        for _ in subject.subspace.menus:
            at = _deeper(subject, at, MAX_BITS)
        subject.references[seed] = _row(subject, at, ALL_8, seed, None)
    row, reference = subject.references[seed]
    yield row
    yield from _below(
        _Place(staged=begin, bits=(), looks=()),
        list(wanted),
        subject=subject,
        seed=seed,
        reference=reference,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a walk is: some decisions made, and what was seen after each."""

    staged: StagedRetraining
    bits: tuple[int, ...]
    looks: tuple[float, ...]


def _below(
    at: _Place, wanted: list[int], *, subject: Subject, seed: int, reference: ImageScores
) -> Iterator[TruthRow]:
    """Yield the rows of the wanted allocations that begin as the place does."""
    menus = subject.subspace.menus
    if len(at.bits) == len(menus):
        yield _row(subject, at, subject.subspace.number(at.bits), seed, reference)[0]
        return
    for width in menus[len(at.bits)]:
        inside = subject.subspace.numbers((*at.bits, width))
        below = [number for number in wanted if number in inside]
        if below:
            child = _deeper(subject, at, width)
            yield from _below(child, below, subject=subject, seed=seed, reference=reference)


def _deeper(subject: Subject, at: _Place, width: int) -> _Place:
    """Decide one width more, in a retraining of its own."""
    space, bits = subject.subspace.space, (*at.bits, width)
    undecided = (MAX_BITS,) * (len(space.decisions) - len(bits))
    layers = space.layers_of(space.decisions[len(at.bits)])
    with training_lock():
        staged = at.staged.fork()
        look = staged.decide(space.allocation((*bits, *undecided)), layers)
    return _Place(staged=staged, bits=bits, looks=(*at.looks, look.loss))


def _row(
    subject: Subject, at: _Place, number: int, seed: int, reference: ImageScores | None
) -> tuple[TruthRow, ImageScores]:
    """Judge and score one retraining."""
    network = at.staged.network
    assert network.allocation is not None
    with training_lock():
        retrained = at.staged.judge(subject.starts.loss(network.allocation))
        if retrained.kept == "start":
            scores = subject.starts.scores(network.allocation)
        else:
            scores = subject.score(network)
    assert scores.each is not None
    row = TruthRow(
        number=number,
        seed=seed,
        score=scores.value,
        loss=scores.score.loss,
        loss_se=0.0 if reference is None else paired(scores, reference).loss_se,
        kept=retrained.kept,
        looks=at.looks,
        right=pack_hits(scores.each.numpy()),
    )
    return row, scores
