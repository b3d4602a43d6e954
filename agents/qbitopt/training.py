"""QBitOptTraining: one training in which the bits are solved for again and again."""

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from agents.costs.relative_cost import proxy_spending
from agents.costs.spending import Columns, Shares, Spending, spending_of
from agents.qbitopt.bit_program import NoiseModel, Vector, noise, solve_bits
from agents.qbitopt.config import QBitOptConfig
from agents.qbitopt.rounding import floor_choices, neighbours, round_into_budget
from agents.search import SearchProblem
from agents.training.training_file import TrainingFile
from env.decisions.decisions import Part
from hardware.measuring.lock import training_lock
from quant.allocation import Allocation
from quant.errors import TrainingError
from quant.layers import INPUT_BITS
from quant.network import QuantizedNetwork
from quant.quantizer import weight_limit
from quant.sensitivities.batches import batches_of
from quant.sensitivities.fisher import FisherTraces, fisher_traces, step_noise

_logger = logging.getLogger(__name__)

_LINEARISATIONS = 4
"""Straight lines are fitted to the costs so often, each time around the latest solution."""
_PROXY_BISECTIONS = 20
"""Halvings of the range of a proxy's limit: to a millionth of it."""
_SMALLEST_WEIGHT = 1e-30
"""In place of 0, for a tensor that no gradient reaches: it gets the fewest bits."""


class QBitOptTraining:
    """The state of QBitOpt: a network in training, its running sensitivities, and its bits.

    The paper takes the sensitivities from the backward passes of the training itself; here each
    round takes them from passes of its own, image by image, because squares of a batch's mean
    gradient are biased. They are accounted for.
    """

    def __init__(self, problem: SearchProblem, config: QBitOptConfig, *, seed: int) -> None:
        """Begin, or go on where the run's state folder says."""
        self._problem, self._config, self._seed = problem, config, seed
        cost = self._config.cost
        self._proxy = None if cost == "budget" else proxy_spending(problem, cost)
        self._network = problem.prepare()
        self._retrainer = problem.retrainer(config.finetune)
        self._weights: Shares | None = None
        self._rounds = 0
        self._images = 0
        self.columns: Columns
        """The present bits; set by the first round."""
        self._file = TrainingFile(problem.state_folder, "qbitopt", problem.say)
        if (found := self._file.load(self._network.state_dict())) is not None:
            self._network.load_state_dict(found[0])
            self._restore(found[1])
        problem.ledger.add(training_samples=self._images)

    def train(self) -> None:
        """Do all rounds that are left. Ends early where the network cannot be trained any more."""
        config = self._config
        while self._rounds < config.rounds + config.frozen_rounds:
            before = self._images
            with training_lock():
                if self._rounds < config.rounds:
                    self._observe()
                    self.columns = self.solve(spending_of(self._problem))
                trained = self._train_round()
            self._problem.ledger.add(training_samples=self._images - before)
            if not trained:
                return
            self._rounds += 1
            self._file.save(self._network.state_dict(), self._notes())

    def solve(self, spending: Spending) -> Columns:
        """Return the bits that the sensitivities so far ask for, inside this budget."""
        assert self._weights is not None
        return solve_columns(self._weights, spending, self._config.noise_model, self._proxy)

    def next_best(self, spending: Spending, seen: Collection[Allocation]) -> Allocation | None:
        """Return the unseen allocation inside the budget of least noise that can be found.

        First the bits as they were frozen, then the solution for this budget, then what is around
        it, then what is around all that was seen; None where all of it was seen.
        """
        assert self._weights is not None
        losses = self._losses(spending)
        solution = self.solve(spending)
        if spending.inside(self.columns) and (
            (frozen := spending.allocation(self.columns)) not in seen
        ):
            return frozen
        around = [solution, *(spending.nearest(spending.columns(known)) for known in seen)]
        for centre in around:
            for columns in (centre, *neighbours(centre, losses, spending)):
                if (allocation := spending.allocation(columns)) not in seen:
                    return allocation
        return None

    def _losses(self, spending: Spending) -> Shares:
        """Return the noise of each choice times its weight, `[decisions, choices]`."""
        assert self._weights is not None
        return noise_losses(self._weights, spending, self._config.noise_model)

    def _observe(self) -> None:
        """Bring the running mean of the noise's weights up to date."""
        images, labels = self._problem.train.images, self._problem.train.labels
        order = torch.randperm(len(images), generator=self._generator(0))
        picked = order[: self._config.sensitivity_images]
        traces = fisher_traces(
            self._network,
            batches_of(images[picked], labels[picked]),
            loss=self._problem.objective.loss,
        )
        self._images += traces.images
        newest = noise_weights(self._network, traces, spending_of(self._problem))
        if self._weights is None:
            self._weights = newest
        else:
            self._weights = self._weights + self._config.averaging * (newest - self._weights)

    def _train_round(self) -> bool:
        """Train at the present bits; whether the loss stayed a number."""
        spending = spending_of(self._problem)
        self._network.set_allocation(spending.allocation(self.columns))
        seed = int(self._generator(1).initial_seed())
        try:
            _, retrained = self._retrainer.carry_on(self._network, seed=seed)
        except TrainingError as error:
            _logger.warning("the bits of round %d stay as they are: %s", self._rounds, error)
            return False
        self._images += self._retrainer.images_seen(carried_on=True)
        _logger.info("round %d at %s bits: %s", self._rounds, self._bits(), retrained)
        return True

    def _bits(self) -> list[int]:
        return spending_of(self._problem).bits(self.columns)

    def _generator(self, use: int) -> torch.Generator:
        """Return a random generator of this seed, this round and this use of it."""
        order = np.random.SeedSequence([self._seed, self._rounds, use])
        return torch.Generator().manual_seed(int(order.generate_state(1)[0]))

    def _notes(self) -> dict[str, Any]:
        assert self._weights is not None
        return {
            "weights": self._weights.tolist(),
            "columns": self.columns.tolist(),
            "rounds": self._rounds,
            "images": self._images,
        }

    def _restore(self, notes: dict[str, Any]) -> None:
        self._weights = np.array(notes["weights"])
        self.columns = np.array(notes["columns"], dtype=np.int64)
        self._rounds, self._images = notes["rounds"], notes["images"]


def noise_weights(network: QuantizedNetwork, traces: FisherTraces, spending: Spending) -> Shares:
    """Return the rise of the loss for each unit of the noise model, `[decisions]`.

    Half the Fisher trace times `range^2 / 12`, the range being what eight bits were calibrated to:
    that of a smaller width is clipped, and would make narrow tensors look easy to narrow further.
    """
    weights = [
        sum(_noise_weight(network, traces, part) for part in decision.parts)
        for decision in spending.decisions
    ]
    found: Shares = np.maximum(np.array(weights), _SMALLEST_WEIGHT)
    return found


def _noise_weight(network: QuantizedNetwork, traces: FisherTraces, part: Part) -> float:
    if not part.is_tensor:
        steps = network.layer(part.layer).quantizer.step(INPUT_BITS)
        levels, trace = 2 * weight_limit(INPUT_BITS), traces.weights[part.layer]
    else:
        steps = network.tensor(part.tensor).step(INPUT_BITS)
        levels, trace = 2**INPUT_BITS - 1, traces.activations[part.tensor]
    return 0.5 * trace * step_noise(steps) * levels**2


def noise_losses(weights: Shares, spending: Spending, model: NoiseModel) -> Shares:
    """Return the noise of each choice times its weight, `[decisions, choices]`."""
    menus = (np.array(decision.menu, dtype=np.float64) for decision in spending.decisions)
    rows = [w * noise(menu, model) for w, menu in zip(weights, menus, strict=True)]
    return spending.spread([row.tolist() for row in rows], missing=np.inf)


def solve_columns(
    weights: Shares, spending: Spending, model: NoiseModel, proxy: Spending | None = None
) -> Columns:
    """Return the bit choices of least noise inside a budget, as far as the convex program knows.

    Costs are replaced by straight lines for the program and counted exactly in the rounding; the
    lines are fitted again around each solution, and the best of them is kept.

    Args:
        weights: The loss for each unit of noise, `[decisions]`.
        spending: The budget.
        model: The noise model.
        proxy: What the program pays with in place of the budget's own resources. Its limit is
            raised as far as bits that are rounded down keep the budget.
    """
    losses = noise_losses(weights, spending, model)
    low, high = _bounds(spending)
    columns = spending.nearest(spending.choices - 1)
    best, least = columns, float("inf")
    for _ in range(_LINEARISATIONS):
        if proxy is None:
            slopes = spending.slopes(columns)
            fixed = spending.shares(columns) - np.array(spending.bits(columns)) @ slopes
            bits = solve_bits(weights, slopes, 1.0 - fixed, low=low, high=high, model=model)
        else:
            bits = _widest_bits(weights, spending, model, proxy.slopes(columns))
        columns = round_into_budget(bits, losses, spending)
        total = float(losses[np.arange(len(columns)), columns].sum())
        if total >= least:
            break
        best, least = columns, total
    return best


def _bounds(spending: Spending) -> tuple[Vector, Vector]:
    """Return the fewest and the most bits of each decision, `[decisions]`."""
    ends = [(decision.menu[0], decision.menu[-1]) for decision in spending.decisions]
    low, high = np.array(ends, dtype=np.float64).T
    return low, high


def _widest_bits(weights: Shares, spending: Spending, model: NoiseModel, slopes: Shares) -> Shares:
    """Return the program's answer under the largest limit of a proxy that keeps the budget."""
    low, high = _bounds(spending)
    below, above = low @ slopes, high @ slopes
    bits = low
    for _ in range(_PROXY_BISECTIONS):
        middle = (below + above) / 2
        tried = solve_bits(weights, slopes, middle, low=low, high=high, model=model)
        if spending.inside(floor_choices(tried, spending)):
            below, bits = middle, tried
        else:
            above = middle
    return bits
