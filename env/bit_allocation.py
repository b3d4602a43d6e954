"""BitAllocationEnv: one episode decides the bits of one network."""

from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from env.decisions.budget import Budget
from env.decisions.costs import cost_table, limits_of
from env.decisions.decisions import DecisionSpace
from env.decisions.masks import BudgetMask, MaskState, Outlook
from env.errors import ActionError, BudgetError
from env.evaluating.episode import Episode, Watched
from env.evaluating.evaluation import Evaluation
from env.evaluating.reward import REWARD_TERMS, RewardConfig, reward
from env.evaluating.seen_look import SeenLook
from env.observation import ObservationVector, Observer
from env.practice.scales import Scales
from env.sensitivity.sensitivities import Sensitivities
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import INPUT_BITS, width_name


class Evaluates(Protocol):
    """Whatever answers what allocations are worth: the Evaluator, or a model of it."""

    def evaluate(self, allocations: Sequence[Allocation]) -> list[Evaluation]:
        """Return one Evaluation for each allocation, in order."""


class Observes(Protocol):
    """Whatever shows an episode: the Observer, or tokens, in whose place `TokenView` types them."""

    @property
    def names(self) -> tuple[str, ...]:
        """What its numbers are."""

    @property
    def space(self) -> spaces.Space[Any]:
        """Of what it shows."""

    def observe(
        self,
        bits: Sequence[int],
        left: Sequence[float],
        budget: Sequence[float],
        look: SeenLook | None = None,
    ) -> Any:
        """Return what is shown before decision `len(bits)`; as of `Observer`."""


class BitAllocationEnv(gym.Env[ObservationVector, np.int64]):
    """Choose the bit-width of every layer's weights and activations.

    ## Description
    An episode walks the layers of one network in execution order. Each step fixes one number: a
    layer's weight bits, then the bits of the tensor it reads. Tensors that several layers read are
    decided once, at the first of them; the network's input has 8 bits and is never decided. What
    the space has tied is decided once, at the first of it, and what it has fixed is no step. The
    finished Allocation goes to the evaluator, which retrains, compiles and measures it (or
    predicts that, in practice).

    ## Action Space
    `Discrete(len(space.widths))`: the index of a bit-width. `action_masks()` tells which of them
    are in the decision's menu and leave a completion inside the budget; any other raises
    `ActionError`. The budget is therefore kept by construction, as far as the layer table tells
    the time.

    ## Observation Space
    `Box(-1, 1, float32)`; `observer.names` names every number: facts of the layer, which of its
    two numbers is decided, the measured sensitivity and microseconds at each choice, the latest
    decisions and the means so far, what is left of each budget, the budgets themselves, and the
    position in the episode; where the layer table tells energies, the millijoules at each choice
    too; with `looks` what the latest decision did to the loss.

    ## Rewards
    0 until the last step, then `env.evaluating.reward`: the accuracy difference to the all-8-bit
    reference in units of one percentage point, and what else the `RewardConfig` asks for.

    ## Starting State
    Nothing decided. `reset(options={"budget": Budget(...)})` changes the budget from then on.

    ## Looks
    With `looks` and an evaluator that retrains during episodes (`env.retrain: during`), the network
    is quantized and trained its share after each decision of an episode that will be evaluated for
    real. `info["look_change"]` is how far the loss on held-back training images rose over what it
    was before the decision, `info["look_beside_reference"]` how far it is above all-8's at the same
    stage, image by image, both None where nothing was seen. Practice shows what its model expects.

    ## Episode End
    Terminated after the last decision, never truncated.

    ## Arguments
    See `__init__`. `info` has the same keys after every step; its figures and its
    `evaluation` are None before the last one.

    ## Version History
    - v0: initial version.
    """

    # Gymnasium declares it as an instance variable of mutable type.
    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012

    def __init__(
        self,
        *,
        space: DecisionSpace,
        budget: Budget,
        evaluator: Evaluates,
        table: LayerTable,
        sensitivities: Sensitivities,
        reference: Evaluation,
        reward_config: RewardConfig | None = None,
        looks: bool = False,
        render_mode: str | None = None,
        observer: Observes | None = None,
    ) -> None:
        """Prepare the masks and observations.

        Args:
            space: What may be decided, of which layers.
            budget: What the allocation may use.
            evaluator: Called once at the end of every episode; may be replaced between episodes.
            table: Measured microseconds of every layer at every pair of choices and at 8 bits.
            sensitivities: Rise of the loss for each (layer, kind, bits).
            reference: The all-8-bit evaluation.
            reward_config: What counts how much; None for the defaults.
            looks: Whether to show what each decision did, where the evaluator tells it; may be
                switched off between episodes.
            render_mode: `ansi` or None.
            observer: Shows the episode; None for an `Observer`.

        Raises:
            BudgetError: no allocation meets the budget.
        """
        self.space = space
        self.decisions = space.decisions
        self.evaluator = evaluator
        self.table = table
        self.sensitivities = sensitivities
        self.reference = reference
        self.reward_config = reward_config or RewardConfig()
        self.render_mode = render_mode
        self.observer: Observes = observer or Observer(space, table, sensitivities, looks=looks)
        self.observation_space = self.observer.space
        self.action_space = spaces.Discrete(len(space.widths))
        self._costs = cost_table(space, table)
        self.looks = looks
        self._episode: Episode | None = None
        self._look: SeenLook | None = None
        self._bits: list[int] = []
        self._state: MaskState
        self._outlook: Outlook | None
        self._scales = self._next_scales = Scales()
        self._set_budget(budget)
        self._begin()

    @property
    def budget(self) -> Budget:
        """The budget of the current episode."""
        return self._budget

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObservationVector, dict[str, Any]]:
        """Begin an episode.

        Raises:
            BudgetError: `options["budget"]` cannot be met.
        """
        super().reset(seed=seed)
        if options and "budget" in options:
            self._set_budget(options["budget"])
        elif self._scales != self._next_scales:
            self._apply_scales()
        self._begin()
        return self._observation(), self._info(None, None)

    def step(self, action: np.int64) -> tuple[ObservationVector, float, bool, bool, dict[str, Any]]:
        """Fix the next bit-width.

        Raises:
            ActionError: the mask forbids the action, or the episode is over.
        """
        if self._outlook is None:
            raise ActionError("the episode is over", "call reset() before step()")
        index = int(action)
        if not 0 <= index < len(self.space.widths) or not self._outlook.legal[index]:
            raise self._refusal(index)
        if self.looks and not self._bits and isinstance(self.evaluator, Watched):
            self._episode = self.evaluator.begin_episode()
        bits = self.space.widths[index]
        self._state = self._mask.advance(self._state, bits)
        self._bits = [*self._bits, bits]  # a copy of this environment keeps its own
        self._look = None if self._episode is None else self._episode.look(self._bits)
        if len(self._bits) < len(self.decisions):
            self._outlook = self._mask.outlook(self._state)
            return self._observation(), 0.0, False, False, self._info(None, None)
        self._outlook = None
        evaluation = self._evaluate(self.space.allocation(self._bits))
        total, terms = reward(evaluation, self.reference, self.reward_config)
        return self._observation(), float(total), True, False, self._info(evaluation, terms)

    def _evaluate(self, allocation: Allocation) -> Evaluation:
        episode, self._episode = self._episode, None
        if episode is None:
            return self.evaluator.evaluate([allocation])[0]
        return episode.finish(allocation)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which actions are legal now, bool `[widths]`; all after the last step."""
        if self._outlook is None:
            return np.ones(len(self.space.widths), dtype=np.bool_)
        return self._outlook.legal.copy()

    def render(self) -> str | None:
        """Return the table of bits decided so far as text."""
        if self.render_mode is None:
            return None
        return self.space.table(self._bits)

    def correct(self, scales: Scales) -> None:
        """Say how measured values compare with the layer table's, from the next episode on.

        A program in which the layers disturb each other takes `scales.latency` times what the
        table adds up to; the masks then compare the table with the budget over that. Scales with
        which nothing at all would fit are ignored.
        """
        self._next_scales = scales

    def _apply_scales(self) -> None:
        before, self._scales = self._scales, self._next_scales
        try:
            self._set_budget(self._budget)
        except BudgetError:
            self._scales = self._next_scales = before

    def _set_budget(self, budget: Budget) -> None:
        if not isinstance(budget, Budget):
            raise BudgetError(f"expected a Budget, found {type(budget).__name__}")
        scaled = self._scales.correct(budget)
        self._mask = BudgetMask(self.space, self._costs, scaled)
        self._budget = budget
        all8 = self._costs.total(Allocation.uniform(self.space.layers, INPUT_BITS))
        smallest = self._mask.outlook(self._mask.start()).smallest
        # For each budgeted resource: the cheapest total and the distance from it to all-8.
        self._spans = {
            index: (int(least), max(1, int(all8[index] - least)))
            for index, least in zip(self._mask.resources, smallest, strict=True)
        }
        self._budget_place = self._shares([least for least, _ in self._spans.values()])

    def _shares(self, used: Sequence[int]) -> tuple[float, ...]:
        """Return (limit - used) over the span of each resource, 0..1; 1 where it is free."""
        shares = [1.0, 1.0, 1.0]
        limits = limits_of(self._budget)
        for position, index in enumerate(self._mask.resources):
            if index in limits:
                left = int(self._mask.limit[position]) - int(used[position])
                shares[index] = min(1.0, max(0.0, left / self._spans[index][1]))
        return tuple(shares)

    def _begin(self) -> None:
        if self._episode is not None:
            self._episode.abandon()
        self._episode, self._look = None, None
        self._bits = []
        self._state = self._mask.start()
        self._outlook = self._mask.outlook(self._state)

    def _observation(self) -> ObservationVector:
        used = self._state.spent if self._outlook is None else self._outlook.smallest
        shares = self._shares(used.tolist())
        shown: ObservationVector = self.observer.observe(
            self._bits, shares, self._budget_place, self._look
        )
        return shown

    def _info(
        self, evaluation: Evaluation | None, terms: dict[str, float] | None
    ) -> dict[str, Any]:
        """Return the same keys at every step; Stable-Baselines3's Monitor relies on that."""
        latency_ms = None if evaluation is None else evaluation.latency_ms
        info: dict[str, Any] = {
            "evaluation": evaluation,
            "practice": evaluation is not None and evaluation.practice,
            "score": None if evaluation is None else evaluation.score,
            "kept": None if evaluation is None else evaluation.kept,
            "look_change": None if self._look is None else self._look.change,
            "look_beside_reference": None if self._look is None else self._look.beside_reference,
            "latency_ms": None if latency_ms is None else latency_ms,
            "energy_mj": None if evaluation is None else evaluation.energy_mj,
            "model_bytes": None if evaluation is None else float(evaluation.model_bytes),
        }
        for name in REWARD_TERMS:
            info[f"reward_{name}"] = None if terms is None else terms[name]
        return info

    def _refusal(self, index: int) -> ActionError:
        assert self._outlook is not None
        decision = self.decisions[len(self._bits)]
        widths = self.space.widths
        legal = [width_name(w) for w, ok in zip(widths, self._outlook.legal, strict=True) if ok]
        found, reason = f"action {index}", "which is none"
        if 0 <= index < len(widths):
            found += f" ({width_name(widths[index])} bits)"
            offered = widths[index] in decision.menu
            reason = "which is not in its menu"
            if offered:
                reason = f"which the budget ({self._budget}) rules out"
        return ActionError(
            f"expected one of {', '.join(legal)} bits for {decision}, found {found}, {reason}",
            "use action_masks()",
        )
