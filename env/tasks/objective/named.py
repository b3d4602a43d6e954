"""Named objectives: from the configuration's words to a loss and a metric."""

from env.tasks.objective.own_functions import own_loss, own_scorer
from env.tasks.task_config import METRICS, TaskConfig
from quant.objective.loss import (
    BINARY_CROSS_ENTROPY,
    MEAN_SQUARED_ERROR,
    Loss,
    cross_entropy,
)
from quant.objective.metrics import F1, SQUARED_ERROR, TOP_1, TOP_5, mean_overlap
from quant.objective.objective import Objective
from quant.objective.scorer import Scorer


def objective_of(config: TaskConfig) -> Objective:
    """Return a task's loss and metric.

    Raises:
        TaskError: the user's function does not exist, or a metric does not say which way is better.
    """
    return Objective(loss=_loss(config), scorer=_scorer(config))


def _loss(config: TaskConfig) -> Loss:
    name = config.loss or METRICS[config.metric]
    if ":" in name:
        return own_loss(name)
    losses = (cross_entropy(config.ignore_label), MEAN_SQUARED_ERROR, BINARY_CROSS_ENTROPY)
    return next(loss for loss in losses if loss.name == name)


def _scorer(config: TaskConfig) -> Scorer:
    if ":" in config.metric:
        return own_scorer(config.metric)
    scorers: dict[str, Scorer] = {
        "top1": TOP_1,
        "top5": TOP_5,
        "mse": SQUARED_ERROR,
        "miou": mean_overlap(config.ignore_label),
        "f1": F1,
    }
    return scorers[config.metric]
