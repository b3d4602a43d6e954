"""Measuring: draw a network, train it, estimate its sensitivities, retrain random allocations."""

import time
from functools import cache

import numpy as np
import torch
from numpy.random import Generator

from env.decisions.decisions import DecisionSpace
from env.decisions.space import decision_space
from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluator import Evaluator
from env.evaluating.stored_accuracies import code_digest
from env.responses.columns import response_columns
from env.responses.losses import observed_losses
from env.tasks import Split, Task, TaskConfig, load_task
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from quant.allocation import Allocation
from quant.equalization import equalize
from quant.layers import MAX_BITS
from quant.network import prepare
from quant.objective.loss import CROSS_ENTROPY
from quant.quantizer import WIDTHS
from quant.retraining.float_training import TrainConfig, train_float
from quant.sensitivities import SensitivityKind, gauss_newton_sensitivity, measured_sensitivity
from quant.sensitivities.batches import batches_of
from tools.fit_responses.networks import KINDS, Kind, draw_network
from tools.fit_responses.rows import MeasuredNetwork

FITTED_KINDS: tuple[SensitivityKind, ...] = ("gauss-newton", "measured")
MENU = (2, 3, 4, 6, 8)
_TASKS: dict[Kind, tuple[str, ...]] = {
    "plain": ("fashion-mnist", "digits"),
    "conv1d": ("mnist1d",),
    "residual": ("fashion-mnist", "digits"),
    "depthwise": ("fashion-mnist", "digits"),
}
_TRAINED_ON, _SCORED_ON, _LOOKED_AT = 6000, 1500, 256
_CLASSES = 10
_WIDE_SHARE = 0.5
"""Of the decisions of every second allocation: left at 8 bits, so that few narrow ones show."""


@cache
def _task(name: str) -> Task:
    return load_task(TaskConfig(name=name))


def measure_network(seed: int, allocations: int, commit: str) -> MeasuredNetwork:
    """Return one drawn network, really trained and retrained; only the device is simulated.

    Args:
        seed: Draws the network, its weights and its allocations.
        allocations: How many are retrained, the reference not among them.
        commit: Written into the row.
    """
    started, rng = time.perf_counter(), np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    name = _TASKS[kind][seed // len(KINDS) % len(_TASKS[kind])]
    train, search = (
        Split(images=split.images[:most], labels=split.labels[:most])
        for split, most in ((_task(name).train, _TRAINED_ON), (_task(name).search, _SCORED_ON))
    )
    torch.manual_seed(seed)
    module = draw_network(kind, train.images.shape[1], _CLASSES, rng)
    epochs = 40 if name == "digits" else 4
    train_float(module, train.images, train.labels, TrainConfig(epochs=epochs), seed=seed)
    module.eval()
    with torch.no_grad():
        right = (module(search.images).argmax(1) == search.labels).double().mean()
    config = EnvConfig()
    network = prepare(module, train.images[:1])
    equalize(network, train.images[: config.calibration_images])
    network.calibrate(train.images[: config.calibration_images])
    network.eval()
    batches = batches_of(train.images[:_LOOKED_AT], train.labels[:_LOOKED_AT], 64)
    estimates = {
        "gauss-newton": gauss_newton_sensitivity(network, batches, WIDTHS, loss=CROSS_ENTROPY),
        "measured": measured_sensitivity(network, batches, WIDTHS, loss=CROSS_ENTROPY),
    }
    space = decision_space(network.layers, MENU)
    columns = {kind: response_columns(space, estimates[kind].rises) for kind in FITTED_KINDS}
    evaluator = Evaluator(
        network.clone(),
        SimulatedDevice(ProtocolConfig(repeats=5)),
        train,
        search,
        config,
        seed=seed,
        limit=allocations + 1,
    )
    (reference,) = evaluator.evaluate([Allocation.uniform(network.layers, MAX_BITS)])
    evaluator.evaluate(_drawn(space, allocations, rng))
    observed = observed_losses(evaluator.evaluations, reference, space)
    known = columns["gauss-newton"]
    return MeasuredNetwork(
        seed=seed,
        kind=kind,
        task=name,
        code=code_digest(),
        commit=commit,
        seconds=round(time.perf_counter() - started, 1),
        float_accuracy=float(right),
        decisions=known.of.tolist(),
        bits=known.bits.tolist(),
        facts=known.facts.tolist(),
        rises={kind: columns[kind].rises.tolist() for kind in FITTED_KINDS},
        chosen=[np.flatnonzero(row).tolist() for row in known.rows(observed.allocations)],
        losses=observed.losses.tolist(),
        errors=observed.errors.tolist(),
    )


def _drawn(space: DecisionSpace, count: int, rng: Generator) -> list[Allocation]:
    """Draw different allocations; in every second one half of the decisions have 8 bits."""
    found: dict[Allocation, None] = {}
    while len(found) < count:
        wide = _WIDE_SHARE if len(found) % 2 else 0.0
        bits = [
            MAX_BITS if rng.random() < wide else int(rng.choice(decision.menu))
            for decision in space.decisions
        ]
        found[space.allocation(bits)] = None
    return list(found)
