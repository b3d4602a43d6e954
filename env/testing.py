"""Small problems without a network: hand-made layers and a known accuracy, for tests."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from env.decisions.costs import model_bytes
from env.decisions.decisions import DecisionSpace, parts_of
from env.decisions.layer_rules import LayerRule, parse_rules
from env.decisions.space import decision_space
from env.errors import EvaluationLimitError, LayerRuleError
from env.evaluating.evaluation import Evaluation
from env.sensitivity.sensitivities import Sensitivities, decision_rise
from hardware.energy.energy import MODELLED, Energy
from hardware.layers.table import LayerTable
from hardware.measuring.measurement import Measurement
from hardware.measuring.protocol import ProtocolConfig
from quant.allocation import Allocation
from quant.layers import FLOAT_BITS, LayerSpec
from quant.sensitivities import Orthogonality, SensitivityKind, SensitivityTable


def conv_layer(
    name: str, tensor: str, *, channels: int = 8, reads_input: bool = False
) -> LayerSpec:
    """Return a 3x3 convolution of 8x8 images with equal channels in and out."""
    return LayerSpec(
        name=name,
        kind="conv2d",
        in_channels=channels,
        out_channels=channels,
        kernel=(3, 3),
        padding=(1, 1),
        input_shape=(channels, 8, 8),
        output_shape=(channels, 8, 8),
        tensor=tensor,
        reads_input=reads_input,
        macs=channels * channels * 9 * 64,
        parameters=channels * channels * 9,
    )


def product_layer(name: str, left: str, right: str) -> LayerSpec:
    """Return a product of two computed tensors, as of one head of an attention."""
    return LayerSpec(
        name=name,
        kind="matmul",
        in_channels=8,
        out_channels=16,
        input_shape=(8, 1, 16),
        output_shape=(16, 1, 16),
        tensor=left,
        macs=16 * 8 * 16,
        parameters=0,
        right=right,
        right_shape=(8, 1, 16),
    )


def attention_layers() -> tuple[LayerSpec, ...]:
    """Return a stem, an attention by one tensor of queries, keys and values, and a head."""
    return (
        conv_layer("stem", "input", channels=2, reads_input=True),
        conv_layer("qkv", "normed", channels=4),
        product_layer("attn.matmul", "qkv", "qkv"),
        product_layer("attn.matmul#2", "shares", "qkv"),
        conv_layer("head", "mixed", channels=3),
    )


def tied_layers() -> tuple[LayerSpec, ...]:
    """Return a stem, a residual block whose `first` and `down` read one tensor, and a head."""
    return (
        conv_layer("stem", "input", channels=2, reads_input=True),
        conv_layer("first", "block", channels=4),
        conv_layer("second", "inner", channels=4),
        conv_layer("down", "block", channels=6),
        conv_layer("head", "joined", channels=3),
    )


def formula_table(layers: Sequence[LayerSpec], *, energies: bool = False) -> LayerTable:
    """Return times that grow with the MACs and both widths, unevenly from layer to layer.

    Args:
        layers: The network.
        energies: Add energies that grow with the weight bits faster than the times do.
    """
    widths = range(2, 9)
    weights = (*widths, FLOAT_BITS)
    table = LayerTable(
        times_us={
            layer.name: {
                (weight, activation): layer.macs
                * (1.0 + 0.3 * weight + 0.2 * activation + 0.05 * (weight * activation * k % 7))
                / 1e4
                for weight in weights
                for activation in widths
            }
            for k, layer in enumerate(layers, start=1)
        },
        disturbed_share=0.0,
        overhead_us=1.5,
        source="simulated",
    )
    if not energies:
        return table
    return replace(
        table,
        energies_uj={
            layer: {pair: time_us * (1.0 + pair[0] / 4.0) for pair, time_us in row.items()}
            for layer, row in table.times_us.items()
        },
        overhead_uj=2.0,
        energy_source=MODELLED,
    )


def formula_sensitivities(layers: Sequence[LayerSpec]) -> Sensitivities:
    """Return loss rises that shrink fourfold with every bit and differ between decisions."""
    return {
        (part.layer, part.kind, bits): (1.0 + 2.0 * (k * 5 % 7)) * 4.0 ** (1 - bits)
        for k, part in enumerate(parts_of(layers))
        for bits in range(2, 9)
    }


def random_rules(
    layers: Sequence[LayerSpec],
    bit_choices: Sequence[int],
    rng: np.random.Generator,
    widths: Sequence[int] = tuple(range(2, 9)),
) -> tuple[LayerRule, ...]:
    """Draw up to four rules that do not contradict each other: pins, menus, ties, and float.

    Args:
        layers: The network's.
        bit_choices: Of what no rule names.
        rng: Decides.
        widths: What menus are drawn from.
    """
    names = [layer.name for layer in layers]
    rules: tuple[LayerRule, ...] = ()
    for _ in range(int(rng.integers(0, 5))):
        some = rng.choice(names, size=int(rng.integers(1, 3))).tolist()
        pattern = "*" if rng.random() < 0.2 else "+".join(dict.fromkeys(some))
        first, second = (
            ",".join(map(str, sorted({int(b) for b in rng.choice(widths, rng.integers(1, 5))})))
            for _ in range(2)
        )
        first = str(rng.choice([first, "*", f"{first},float", "float"], p=[0.5, 0.2, 0.2, 0.1]))
        menus = str(rng.choice([first, f"{first}/{second}", f"{first}/*"]))
        tie = str(rng.choice(["", " tied", " paired"], p=[0.5, 0.3, 0.2]))
        try:
            found = (*rules, *parse_rules([f"{pattern}={menus}{tie}"]))
            decision_space(layers, bit_choices, found)
        except LayerRuleError:
            continue
        rules = found
    return rules


class FormulaSensitivities:
    """Source that answers every kind with the formula, and layers that are half alike."""

    def __init__(self, layers: Sequence[LayerSpec], rises: Sensitivities) -> None:
        """Keep the formula's rises of the loss, entered for every layer that reads a tensor."""
        first = {part.tensor: part for part in parts_of(layers) if part.is_tensor}
        self._layers = tuple(layer.name for layer in layers)
        self._rises = dict(rises) | {
            (layer.name, kind, bits): rises[first[tensor].layer, first[tensor].kind, bits]
            for layer in layers
            for tensor, kind in zip(layer.tensors, ("activation", "weight"), strict=False)
            if tensor in first
            for bits in range(2, 9)
        }

    def table(self, kind: SensitivityKind) -> SensitivityTable:
        """Return the formula's rises."""
        return SensitivityTable(kind=kind, rises=self._rises, base_loss=0.0, images=1)

    def orthogonality(self) -> Orthogonality:
        """Return a matrix in which earlier layers are less like the others."""
        count = len(self._layers)
        matrix = [
            [1.0 if i == j else 0.1 * (1 + min(i, j)) for j in range(count)] for i in range(count)
        ]
        return Orthogonality(
            layers=self._layers, matrix=tuple(tuple(row) for row in matrix), images=1
        )


class FormulaEvaluator:
    """Evaluator whose accuracy is `0.98` less the sum of the sensitivities, times `scale`.

    Latency is the layer table's. Evaluations count as real unless `practice` is set. Stands in
    for `env.evaluating.evaluator.Evaluator`, limit included.
    """

    parallel = 1
    repeatable = True

    def __init__(
        self,
        space: DecisionSpace,
        table: LayerTable,
        sensitivities: Sensitivities,
        *,
        scale: float = 0.1,
        practice: bool = True,
        limit: int = 1_000_000,
    ) -> None:
        """Keep the formula's parts."""
        self._space = space
        self._table = table
        self._sensitivities = sensitivities
        self._scale = scale
        self._practice = practice
        self.limit = limit
        self.held_back = 0
        self.proposer = ""
        self.evaluations: list[Evaluation] = []

    @property
    def remaining(self) -> int:
        """How many evaluations the limit still allows."""
        return self.limit - self.held_back - len(self.evaluations)

    def begin_episode(self) -> None:
        """Return nothing: no network is retrained while it is decided."""

    def adopt_past(self) -> None:
        """Do nothing: a formula has no earlier part of a run."""

    def evaluate(self, allocations: Sequence[Allocation], *, repeat: int = 0) -> list[Evaluation]:
        """Return one Evaluation for each allocation; a formula is the same in every repeat.

        Raises:
            EvaluationLimitError: the limit is used up.
        """
        return [self._evaluate(allocation, repeat) for allocation in allocations]

    def accuracy(self, bits: Sequence[int]) -> float:
        """Return the accuracy of the decided bits, in the order of the decisions."""
        return 0.98 - self._scale * sum(
            decision_rise(self._sensitivities, decision, width)
            for decision, width in zip(self._space.decisions, bits, strict=True)
        )

    def _evaluate(self, allocation: Allocation, repeat: int) -> Evaluation:
        if self.remaining <= 0:
            raise EvaluationLimitError(f"all {self.limit} evaluations are used up")
        bits = self._space.bits_of(allocation)
        predicted_ms = self._table.predict_ms(allocation)
        predicted_mj = self._table.predict_mj(allocation)
        evaluation = Evaluation(
            allocation=allocation,
            index=len(self.evaluations),
            repeat=repeat,
            score=self.accuracy(bits),
            score_se=0.0,
            loss=0.0,
            model_bytes=model_bytes(self._space.layers, allocation),
            measurement=None if self._practice else self._simulate(predicted_ms, predicted_mj),
            predicted_ms=predicted_ms,
            predicted_mj=predicted_mj,
            practice=self._practice,
            proposer=self.proposer,
        )
        self.evaluations.append(evaluation)
        return evaluation

    def _simulate(self, latency_ms: float, energy_mj: float | None) -> Measurement:
        return Measurement(
            values_ms=(latency_ms,) * 5,
            loops=1,
            protocol=ProtocolConfig(),
            source="simulated",
            device="a formula",
            facts={},
            energy=None
            if energy_mj is None
            else Energy(source=MODELLED, what="a formula", blocks_mj=(energy_mj,)),
        )
