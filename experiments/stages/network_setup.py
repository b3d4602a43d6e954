"""Network set-up: the task's data, its float network, and the calibrated network made of it."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from env.decisions.decisions import DecisionSpace
from env.decisions.space import decision_space
from env.tasks import Split, Task, float_module, load_task
from env.tasks.objective.check import check_objective
from env.tasks.task import HELD_OUT
from experiments.record.given import Given
from experiments.settings.run_config import RunConfig
from experiments.stages.buildable import check_buildable
from experiments.terminal.progress import LiveProgress
from hardware.device import Device
from hardware.measuring.lock import training_lock
from quant.capture.export import own_copy
from quant.equalization import equalize
from quant.network import QuantizedNetwork, prepare
from quant.objective.objective import Objective
from quant.objective.scores import ImageScores
from quant.outputs import as_outputs, main_output, named_outputs
from quant.records.state_digest import state_digest
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrainer import Retrainer
from quant.tensors.devices import choose_device
from quant.tensors.moving import device_of, move, place, placed

_BATCH = 256


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NetworkSetup:
    """What every command needs before it looks at bits."""

    config: RunConfig
    """What the network was set up by, and what is done with it."""
    task: Task
    module: nn.Module
    """The trained float network, in evaluation mode, on the CPU."""
    network: QuantizedNetwork
    """Calibrated, at the float checkpoint, on the device that trains. Never trained: whoever trains
    takes a clone."""
    _retrainers: dict[FinetuneConfig, Retrainer] = field(default_factory=dict)
    _search_scores: list[ImageScores] = field(default_factory=list)
    """None or one: those of the float network. Like the retrainers, copies that differ in their
    configuration alone share it."""

    def retrainer(self, config: FinetuneConfig) -> Retrainer:
        """Return what retrains the network's clones on the training split, one for each config."""
        if config not in self._retrainers:
            train, augment = self.task.train, self.task.augment
            self._retrainers[config] = Retrainer(
                self.network,
                train.images,
                train.labels,
                config,
                loss=self.task.objective.loss,
                augment=augment,
            )
        return self._retrainers[config]

    def float_search_scores(self) -> ImageScores:
        """Return what the float network makes of each image of the search split, computed once."""
        if not self._search_scores:
            self._search_scores.append(self.float_scores(self.task.search))
        return self._search_scores[0]

    def float_scores(self, split: Split) -> ImageScores:
        """Return what the float network makes of each image of one split."""
        with placed(self.module, device_of(self.network)):
            return module_scores(self.module, split, self.task.objective)

    @property
    def given(self) -> Given:
        """What the float network and its images are, whatever files they came from."""
        return Given(
            weights=state_digest(self.module.state_dict()),
            train=self.task.train.digest,
            search=self.task.search.digest,
        )

    @property
    def search_origin(self) -> str:
        """Where the search split came from, and whether the weights may have been trained on it."""
        task = self.task
        trained_elsewhere = task.weights is not None or not task.recipe.epochs
        if task.search_origin == HELD_OUT and trained_elsewhere:
            return (
                f"{HELD_OUT}: weights that were trained elsewhere may have seen them, and then "
                "score too well on them; give images that they have not seen"
            )
        return task.search_origin

    @property
    def space(self) -> DecisionSpace:
        """What may be decided of the network.

        Raises:
            LayerRuleError: a rule of the configuration does not fit the network.
        """
        env = self.config.env
        return decision_space(self.network.layers, env.bit_choices, env.layer_rules)

    @property
    def outputs(self) -> str:
        """What the network returns, and what of it counts; empty where it is one tensor always."""
        names, task = self.network.graph.outputs, self.task
        trained_here = task.weights is None and task.recipe.epochs
        training = _training_outputs(self.module, task) if trained_here else {}
        beside = len(training) > 1 and not set(names).issuperset(training)
        if len(names) == 1 and not beside:
            return ""
        own = {"trained": task.objective.loss.source, "scored": task.objective.scorer.source}
        said = [verb for verb, source in own.items() if not source]
        said = [f"{names[main_output(names)]} is {' and '.join(said)}"] if said else []
        if any(own.values()):
            said.append("your functions get all of them")
        if beside and not own["trained"]:
            said.append("what it returns in training alone is not trained")
        return f"{', '.join(names)}: {'; '.join(said)}"

    @property
    def widths(self) -> list[int]:
        """Widths that are measured: those that may be chosen or are fixed, and 8."""
        return list(self.space.measured_widths)


def set_up_network(
    config: RunConfig, progress: LiveProgress, device: Device | None = None
) -> NetworkSetup:
    """Load the task, train the float network where no checkpoint is kept, and calibrate.

    Args:
        config: Names the task and its network.
        progress: Shows the training.
        device: What the network will be compiled for; asked whether it can be, before a training.

    Raises:
        DataError: the float checkpoint is damaged.
        BitAllocError: loss or metric do not fit the network and the labels.
        CaptureError: the network cannot be captured.
        BuildError: the network cannot be compiled for the device.
        TrainingError: the device that `env.device` names is not here.
    """
    training_device = choose_device(config.env.device)
    task = load_task(config.task)
    check_objective(task, config.task.ignore_label)

    def check(network: QuantizedNetwork) -> None:
        if device is not None:
            check_buildable(network, task.train.images, device)

    with training_lock():
        module = float_module(
            task,
            config.seed,
            device=training_device,
            check=check,
            progress=partial(progress.stage, "float network"),
        )
        network = prepare(module, task.example)
        network.arithmetic = config.env.arithmetic
        place(network, training_device)
        images = task.train.images[: config.env.calibration_images]
        if config.env.equalize:
            equalize(network, images)
        network.calibrate(images)
    check(network)
    return NetworkSetup(config=config, task=task, module=module, network=network)


def module_scores(module: nn.Module, split: Split, objective: Objective) -> ImageScores:
    """Return what a network that runs in float makes of each image of one split, where it is."""
    parts = zip(split.images.split(_BATCH), split.labels.split(_BATCH), strict=True)
    device = device_of(module)
    with torch.no_grad(), training_lock():
        return objective.score(
            (as_outputs(module(move(images, device))), labels) for images, labels in parts
        )


@torch.no_grad()
def _training_outputs(module: nn.Module, task: Task) -> dict[str, Any]:
    """Return what a network returns while it is trained; it and all draws stay as they are."""
    with torch.random.fork_rng():
        return named_outputs(own_copy(module).train()(task.train.images[:2]))
