"""Recorder: everything that is written and shown when an evaluation finishes."""

import logging
from collections.abc import Sequence

from env.decisions.budget import MEASURED_TOLERANCE
from env.evaluating.accounting import counts
from env.evaluating.evaluation import Evaluation
from env.evaluating.ranking import rank
from env.evaluating.reward import reward
from experiments.charts.bits import bits_chart
from experiments.settings.run_config import RunConfig
from experiments.stages.measured import Measured
from experiments.stages.places import Places
from hardware.energy.energy import energy_label
from hardware.layers.table import LayerTable
from hardware.measuring.measurement import latency_label
from quant.allocation import ProductBits
from quant.objective.paired import PairedDifference

_logger = logging.getLogger(__name__)


def scalars_of(evaluation: Evaluation, table: LayerTable) -> dict[str, float | None]:
    """Return the scalars of one real evaluation, `{tag: value}`; None where there is no value."""
    weight_bits, activation_bits = evaluation.allocation.mean_bits()
    latency_ms, predicted_ms = evaluation.latency_ms, table.predict_ms(evaluation.allocation)
    measurement = evaluation.measurement
    source = None if measurement is None else measurement.source
    energy = None if measurement is None else measurement.energy
    predicted_mj = table.predict_mj(evaluation.allocation)
    scalars: dict[str, float | None] = {
        f"evaluation/{evaluation.metric.name}": evaluation.score,
        "evaluation/loss": evaluation.loss,
        **_difference_scalars(evaluation.beside_reference, evaluation.metric.name),
        "evaluation/failed": float(bool(evaluation.error)),
        "evaluation/model_bytes": float(evaluation.model_bytes),
        "evaluation/mean_weight_bits": weight_bits,
        "evaluation/mean_activation_bits": activation_bits,
        latency_label("evaluation/latency_ms", source): latency_ms,
        latency_label("evaluation/latency_iqr_ms", source): None
        if measurement is None
        else measurement.iqr_ms,
        "evaluation/predicted_over_measured": (predicted_ms / latency_ms if latency_ms else None),
        "time/train_s": evaluation.train_s,
        "time/build_s": evaluation.build_s,
        "time/measure_s": evaluation.measure_s,
    }
    if energy is not None:
        energies = {
            "evaluation/energy_mj": energy.gross_mj,
            "evaluation/energy_net_mj": energy.net_mj,
            "evaluation/energy_error_mj": energy.error_mj,
            "evaluation/energy_idle_w": energy.idle_w,
            "evaluation/energy_predicted_over_measured": None
            if predicted_mj is None
            else predicted_mj / energy.gross_mj,
        }
        scalars |= {energy_label(tag, energy.source): value for tag, value in energies.items()}
    for number, look in enumerate(evaluation.looks):
        scalars[f"looks/change_{number}"] = look.change
        scalars[f"looks/beside_reference_{number}"] = look.beside_reference
    for layer, bits in evaluation.allocation.items:
        product = isinstance(bits, ProductBits)
        names = ("right_bits", "left_bits") if product else ("weight_bits", "activation_bits")
        scalars[f"{names[0]}/{layer}"] = float(bits.weight_bits)
        scalars[f"{names[1]}/{layer}"] = float(bits.activation_bits)
    return scalars


def _difference_scalars(
    difference: PairedDifference | None, metric: str
) -> dict[str, float | None]:
    if difference is None:
        return {}
    return {
        f"evaluation/{metric}_beside_reference": difference.score,
        f"evaluation/{metric}_beside_reference_se": difference.score_se,
        "evaluation/loss_beside_reference": difference.loss,
        "evaluation/loss_beside_reference_se": difference.loss_se,
    }


class Recorder:
    """Called with each real evaluation, in order; keeps them and the best inside the budget.

    The first evaluation is the all-8-bit reference, which rewards are compared with.
    """

    def __init__(
        self,
        config: RunConfig,
        measured: Measured,
        places: Places,
        past: Sequence[Evaluation] = (),
    ) -> None:
        """Prepare for a search; `past` evaluations were recorded before."""
        self.evaluations: list[Evaluation] = []
        self.best: Evaluation | None = None
        self._best_reward = 0.0
        self._folder, self._events = places.folder, places.events
        self._progress = places.progress
        self._table, self._budget = measured.table, measured.decided.budget
        self._limit, self._reward_config = config.evaluations, config.reward
        for evaluation in past:
            self._log(evaluation)

    def __call__(self, evaluation: Evaluation) -> None:
        """Write, log and show one evaluation; practice leaves no trace here."""
        if evaluation.practice:
            return
        self._folder.append_evaluation(evaluation)
        _logger.info("evaluation %d by %s finished", evaluation.index, evaluation.proposer)
        self._log(evaluation)
        if counts(evaluation):
            done = sum(map(counts, self.evaluations))
            self._progress.evaluation(done, self._limit, self.best)

    def _log(self, evaluation: Evaluation) -> None:
        """Write an evaluation's curves, and those of the best where it is that."""
        self.evaluations.append(evaluation)
        step = len(self.evaluations)
        self._events.scalars(
            {**scalars_of(evaluation, self._table), "evaluation/used": float(step)}, step
        )
        if self._judge(evaluation, step):
            self._log_best(evaluation, step)
        self._events.flush()

    def _judge(self, evaluation: Evaluation, step: int) -> bool:
        """Log the reward's terms and tell whether the evaluation is the best so far."""
        total, terms = reward(evaluation, self.evaluations[0], self._reward_config)
        self._events.scalars(
            {
                "reward/total": total,
                **{
                    energy_label(f"reward/{name}", self._table.energy_source): term
                    for name, term in terms.items()
                },
            },
            step,
        )
        inside = [
            e for e in self.evaluations if self._budget.admits(e, tolerance=MEASURED_TOLERANCE)
        ]
        ranked = rank(inside, self.evaluations[0], self._reward_config)
        if not ranked or ranked[0] is not evaluation:
            return False
        self.best, self._best_reward = evaluation, total
        return True

    def _log_best(self, evaluation: Evaluation, step: int) -> None:
        weight_bits, activation_bits = evaluation.allocation.mean_bits()
        self._events.scalars(
            {
                f"best/{evaluation.metric.name}": evaluation.score,
                latency_label("best/latency_ms", self._table.source): evaluation.latency_ms,
                energy_label("best/energy_mj", self._table.energy_source): evaluation.energy_mj,
                "best/model_bytes": float(evaluation.model_bytes),
                "best/mean_weight_bits": weight_bits,
                "best/mean_activation_bits": activation_bits,
                "best/reward": self._best_reward,
            },
            step,
        )
        title = f"evaluation {step}: {evaluation.metric.text(evaluation.score)}"
        self._events.chart("bits/best", bits_chart(evaluation.allocation, title), step)
