"""Worlds: search problems whose hidden responses are known. All of it is simulated.

They are assumptions, with the sizes of two measured tasks: `QUIET` is like MNIST-1D, in shares of
accuracy, `LOUD` like a depthwise network on Fashion-MNIST, in log loss. What holds in them may not
hold in a network; what fails in them need not be tried in one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from agents.clado.quadratic import QuadraticProgram
from agents.costs.spending import spending_of
from agents.search import SearchProblem
from agents.solvers.cost_model import CostModel
from agents.solvers.exact import solve_exact
from agents.solvers.response_losses import response_losses
from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.decisions import DecisionSpace
from env.decisions.space import decision_space
from env.evaluating.evaluation import Evaluation
from env.evaluating.seen_look import SeenLook
from env.responses.columns import Floats, response_columns
from env.responses.prior import WIDE, ResponsePrior
from env.responses.table_losses import table_losses
from env.sensitivity.sensitivities import Sensitivities
from env.testing import FormulaEvaluator, FormulaSensitivities, conv_layer
from hardware.layers.table import LayerTable
from quant.allocation import Allocation
from quant.layers import MAX_BITS, MIN_BITS
from quant.objective.metric import ACCURACY, Metric
from quant.objective.paired import PairedDifference

_BASE = 0.9
_STAIRS = {2: 0.3, 3: 0.42, 4: 0.5, 5: 0.8, 6: 0.85, 7: 0.95, 8: 1.0}
"""Time at each width; simulated, of the shape that kernels have."""
_US_PER_MAC = 1e-4
_LEARNT_FROM = 300
_IMAGES_SHARE = 0.6
"""Of the noise: what the paired error over images says of it; the rest is retraining's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldRules:
    """What worlds are drawn by. Spreads are of natural logarithms."""

    layers: int
    widths: tuple[int, ...]
    metric: Metric = ACCURACY
    noise: float
    """Standard deviation of an evaluation's quality."""
    level: float
    """Mean log response at 2 bits."""
    level_sd: float = 0.9
    explained: float = 0.4
    """Share of the variance of levels that layer facts explain."""
    fall: float = 3.5
    """Mean factor between the responses of one width and the next."""
    fall_sd: float = 0.15
    decision_error: float = 1.05
    """With it the rank correlation of sensitivities and responses is .56, as measured."""
    width_error: float = 0.5
    common_error: float = 0.5
    """Errors of the logarithm of sensitivities: of a decision, of each width, of a network."""
    degrees: float = float("inf")
    """Of freedom of levels and errors: a t distribution where they are finite."""
    distortion: float = 1.0
    """Power of the response that the sensitivity is."""
    activations: float = 0.0
    """Added to the log responses of activations."""
    look_factor: float = 1.0
    """What looks during a retraining say over what is true: a loss in place of an accuracy."""
    look_bias: float = 0.5
    """Spread of the logarithm of that from response to response. A look's noise is an evaluation's,
    split evenly between the decisions."""
    interaction: float = 0.0
    """Spread of rho: two decisions lose `2 rho sqrt(r q)` beside the sum of their responses r and
    q, half of rho's variance for any widths and half for these. At 0.3 no sum over decisions
    explains 5 to 25 % of the variance of random allocations' losses."""


QUIET = WorldRules(
    layers=6, widths=(2, 3, 4, 5, 6, 7, 8), noise=0.0079, level=-3.6, look_factor=3.0
)
LOUD = WorldRules(
    layers=8,
    widths=(2, 3, 4, 8),
    metric=Metric(name="minus-log-loss", unit=""),
    noise=0.21,
    level=-2.4,
)


def other_rules(rules: WorldRules) -> WorldRules:
    """Return rules that no prior here was fitted to.

    Heavy tails, slower falls, weights that are more fragile than activations, sensitivities that
    exaggerate, and a noise that is half as large again.
    """
    return replace(
        rules,
        noise=1.5 * rules.noise,
        degrees=4.0,
        fall=2.8,
        fall_sd=0.3,
        activations=-0.7,
        distortion=1.3,
        decision_error=1.2,
        width_error=0.7,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """One network that never was: what it loses, and what people would know of it."""

    rules: WorldRules
    space: DecisionSpace
    table: LayerTable
    responses: Floats
    """Quality lost, `[decisions, widths]`."""
    rises: Sensitivities
    looks: Floats
    """What looks say of each response in the long run, `[decisions, widths]`."""
    pairs: Floats
    """Half of what two decisions lose beside their sum, `[decisions, widths] * 2`, symmetric."""

    def loss(self, allocation: Allocation) -> float:
        """Return the quality that an allocation truly loses against all-8."""
        bits = self.space.bits_of(allocation)
        places = [self.space.widths.index(width) for width in bits]
        steps = np.arange(len(bits))
        beside = self.pairs[steps, places][:, steps, places].sum()
        return float(table_losses(self.space, self.responses, [allocation])[0] + beside)

    def budget(self, share: float) -> Budget:
        """Return the latency that lies so far on the way from the fastest allocation to all-8."""
        fast, slow = (
            self.table.predict_ms(Allocation.uniform(self.space.layers, bits))
            for bits in (MIN_BITS, MAX_BITS)
        )
        return Budget(latency_ms=fast + share * (slow - fast))

    def best(self, share: float) -> Allocation:
        """Return the allocation inside a budget that truly loses least.

        With interactions it is the best that descents by one or two decisions find.
        """
        problem = self.problem(share=share, limit=0, seed=0, prior=WIDE)
        if self.rules.interaction:
            return self._descend(problem)
        model = CostModel(problem, response_losses(self.space, self.responses))
        found = model.answer(solve_exact)
        assert found is not None
        return found

    def _descend(self, problem: SearchProblem) -> Allocation:
        count, widths = self.responses.shape
        terms = self.pairs.reshape(count * widths, count * widths).copy()
        np.fill_diagonal(terms, self.responses)
        spending = spending_of(problem)
        found = QuadraticProgram(terms, spending).best((), np.random.default_rng(0))
        assert found is not None
        return spending.allocation(found)

    def problem(
        self, *, share: float, limit: int, seed: int, prior: ResponsePrior
    ) -> SearchProblem:
        """Return a search problem that costs nothing to evaluate.

        Args:
            share: Of the way from the fastest allocation to all-8: the budget.
            limit: Evaluations, the reference not among them.
            seed: Of what images and retrainings add.
            prior: What methods believe of sensitivities, such as `calibrated_prior`.
        """
        evaluator = WorldEvaluator(self, limit=limit + 1, seed=seed)
        evaluator.proposer = "reference"
        reference = evaluator.evaluate([Allocation.uniform(self.space.layers, MAX_BITS)])[0]
        budget = self.budget(share)

        def make_env() -> BitAllocationEnv:
            return BitAllocationEnv(
                space=self.space,
                budget=budget,
                evaluator=evaluator,
                table=self.table,
                sensitivities=self.rises,
                reference=reference,
            )

        return SearchProblem(
            space=self.space,
            budget=budget,
            evaluator=evaluator,  # type: ignore[arg-type]
            table=self.table,
            reference=reference,
            make_env=make_env,
            prepare=None,  # type: ignore[arg-type]
            retrainer=None,  # type: ignore[arg-type]
            sensitivities=FormulaSensitivities(self.space.layers, self.rises),
            train=None,  # type: ignore[arg-type]
            search=None,  # type: ignore[arg-type]
            prior=prior,
        )


class WorldEvaluator(FormulaEvaluator):
    """Evaluates in no time: the true loss, and the noise that its seed draws.

    The reference has its own noise, which is in every comparison with it.
    """

    def __init__(self, world: World, *, limit: int, seed: int) -> None:
        """Keep the world; equal seeds evaluate equally, in whatever order they are asked."""
        super().__init__(world.space, world.table, world.rises, practice=False, limit=limit)
        self._world, self._seed = world, seed

    def _evaluate(self, allocation: Allocation, repeat: int) -> Evaluation:
        plain = super()._evaluate(allocation, repeat)
        world, noise = self._world, self._world.rules.noise
        bits = [
            number
            for _, pair in allocation.items
            for number in (pair.weight_bits, pair.activation_bits)
        ]
        images, retraining = (
            np.random.default_rng([self._seed, kind, *bits]).standard_normal()
            for kind in (0, 1 + repeat)
        )
        error = _IMAGES_SHARE * noise
        score = _BASE - world.loss(allocation)
        score += error * images + np.sqrt(noise**2 - error**2) * retraining
        first = self.evaluations[0]
        difference = 0.0 if first is plain else score - first.score
        evaluation = replace(
            plain,
            looks=self._looks(allocation, repeat),
            metric=world.rules.metric,
            score=float(score),
            score_se=error,
            beside_reference=PairedDifference(
                score=float(difference),
                score_se=error,
                score_unpaired_se=error,
                loss=0.0,
                loss_se=0.0,
                loss_unpaired_se=0.0,
            ),
        )
        self.evaluations[-1] = evaluation
        return evaluation

    def _looks(self, allocation: Allocation, repeat: int) -> tuple[SeenLook, ...]:
        """Return what is seen after each decision; what begins alike is seen alike."""
        world, rules = self._world, self._world.rules
        bits = world.space.bits_of(allocation)
        noise = rules.look_factor * rules.noise / np.sqrt(len(bits))
        found, total = [], 0.0
        for step, width in enumerate(bits):
            drawn = np.random.default_rng([self._seed, 1000 + repeat, *bits[: step + 1]])
            rise = float(world.looks[step, world.space.widths.index(width)])
            rise += float(noise * drawn.standard_normal())
            total += rise
            found.append(SeenLook(loss=total, beside_reference=total, response=rise))
        return tuple(found)


def draw_world(rules: WorldRules, seed: int) -> World:
    """Return a world; equal seeds give equal worlds."""
    rng = np.random.default_rng(seed)
    names = ["input", *(f"t{k}" for k in range(1, rules.layers))]
    layers = tuple(
        conv_layer(f"l{k}", name, channels=int(rng.integers(8, 65)), reads_input=k == 0)
        for k, name in enumerate(names)
    )
    space = decision_space(layers, rules.widths)
    count, widths = len(space.decisions), np.array(space.widths)
    is_activation = np.array([decision.kind == "activation" for decision in space.decisions])
    macs = np.log([next(la.macs for la in layers if la.name == d.layer) for d in space.decisions])
    told = (macs.mean() - macs) / max(float(macs.std()), 1e-9)
    level = rules.level + rules.level_sd * (
        np.sqrt(rules.explained) * told + np.sqrt(1.0 - rules.explained) * _drawn(rules, rng, count)
    )
    level += rules.activations * is_activation
    fall = np.log(rules.fall) + rules.fall_sd * rng.standard_normal(count)
    logs = level[:, None] - fall[:, None] * (widths - MIN_BITS)
    error = rules.decision_error * _drawn(rules, rng, count)[:, None]
    error = error + rules.width_error * rng.standard_normal(logs.shape)
    seen = rules.distortion * logs + error + rules.common_error * rng.standard_normal()
    responses = np.where(widths < MAX_BITS, np.exp(logs), 0.0)
    rises: dict[tuple[str, str, int], float] = {
        (decision.layer, decision.kind, int(bits)): float(np.exp(seen[step, place]))
        for step, decision in enumerate(space.decisions)
        for place, bits in enumerate(widths)
    }
    # Widths that are no choice are asked for, too, by whoever looks at tensors.
    for decision in space.decisions:
        for bits in range(MIN_BITS, MAX_BITS + 1):
            rises.setdefault((decision.layer, decision.kind, bits), 0.0)
    biases = rules.look_bias * np.random.default_rng([seed, 1]).standard_normal(logs.shape)
    return World(
        rules=rules,
        space=space,
        table=_times(space),
        responses=responses,
        rises=rises,
        looks=rules.look_factor * responses * np.exp(biases),
        pairs=_pairs(rules, responses, seed),
    )


def _pairs(rules: WorldRules, responses: Floats, seed: int) -> Floats:
    """Return what two decisions lose beside their sum, halved, `[decisions, widths] * 2`."""
    (count, widths), rng = responses.shape, np.random.default_rng([seed, 2])
    rho = rng.standard_normal((count, 1, count, 1))
    rho = (
        rules.interaction * (rho + rng.standard_normal((count, widths, count, widths))) / np.sqrt(2)
    )
    roots = np.sqrt(responses)
    upper = np.triu(np.ones((count, count)), 1)[:, None, :, None]
    half: Floats = rho * roots[:, :, None, None] * roots * upper
    return half + half.transpose(2, 3, 0, 1)


@cache
def calibrated_prior(rules: WorldRules) -> ResponsePrior:
    """Return what sensitivities mean in the worlds of some rules: a regression over many of them.

    The worlds have seeds of their own, from a million on.
    """
    known, bits, logs = [], [], []
    for seed in range(_LEARNT_FROM):
        world = draw_world(rules, 1_000_000 + seed)
        columns = response_columns(world.space, world.rises)
        places = [world.space.widths.index(int(width)) for width in columns.bits]
        known.append(np.log(columns.rises + WIDE.least_rise))
        bits.append(columns.bits - MIN_BITS)
        logs.append(np.log(world.responses[columns.of, places]))
        of = columns.of
    features = np.stack([np.ones_like(np.array(known)), np.array(known), np.array(bits)], -1)
    flat = features.reshape(-1, 3)
    weights, *_ = np.linalg.lstsq(flat, np.array(logs).ravel(), rcond=None)
    left = np.array(logs) - features @ weights
    # [worlds, decisions, 2]: each decision's own level at 2 bits and fall, of which width errors
    # are a part.
    line = np.stack([np.ones(len(of)), columns.bits - MIN_BITS], 1)
    own = np.stack([left[:, of == d] @ np.linalg.pinv(line[of == d]).T for d in np.unique(of)], 1)
    width_sd = (left - (own[:, of] * line).sum(-1)).std() * np.sqrt(
        len(of) / (len(of) - own[0].size)
    )
    by_widths = np.diag(np.linalg.inv(line[of == 0].T @ line[of == 0])) * width_sd**2
    spread = np.sqrt(np.maximum(own.var(axis=(0, 1)) - by_widths, 0.0))
    return replace(
        WIDE,  # how the line differs from network to network, worlds of one rule cannot tell
        source="regressed over simulated worlds of the same rules",
        intercept=float(weights[0]),
        slope=float(weights[1]),
        per_bit=float(weights[2]),
        common_sd=float(own[..., 0].mean(1).std()),
        decision_sd=float(spread[0]),
        decision_per_bit_sd=float(spread[1]),
        width_sd=float(width_sd),
        noise=0.8 * rules.noise,
        noise_log_sd=0.5,
    )


def _drawn(rules: WorldRules, rng: np.random.Generator, count: int) -> Floats:
    """Return draws with a spread of 1, of heavy tails where the rules say so."""
    if np.isinf(rules.degrees):
        return rng.standard_normal(count)
    spread = np.sqrt(rules.degrees / (rules.degrees - 2.0))
    drawn: Floats = rng.standard_t(rules.degrees, count) / spread
    return drawn


def _times(space: DecisionSpace) -> LayerTable:
    pairs = [(w, a) for w in range(MIN_BITS, 9) for a in range(MIN_BITS, 9)]
    return LayerTable(
        times_us={
            layer.name: {
                pair: layer.macs
                * _US_PER_MAC
                * (0.8 * _STAIRS[max(pair)] + 0.2 * _STAIRS[min(pair)])
                for pair in pairs
            }
            for layer in space.layers
        },
        overhead_us=1.0,
        source="simulated",
        disturbed_share=0.0,
    )


def regrets(world: World, share: float, answers: Sequence[Allocation]) -> list[float]:
    """Return how much more each answer truly loses than the best inside the budget."""
    least = world.loss(world.best(share))
    return [world.loss(answer) - least for answer in answers]
