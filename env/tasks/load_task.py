"""Which tasks there are, and how the configuration names them."""

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from env.errors import TaskError
from env.tasks.chosen_augment import chosen_augment
from env.tasks.data_sets.cifar10 import cifar10_task
from env.tasks.data_sets.digits import digits_task
from env.tasks.data_sets.fashion_mnist import fashion_mnist_task
from env.tasks.data_sets.image_file import Geometry
from env.tasks.data_sets.image_folder import image_folder_task
from env.tasks.data_sets.mnist1d import mnist1d_images_task, mnist1d_task
from env.tasks.given_module import make_given_module, outputs_of, try_module
from env.tasks.networks.catalogue import network_maker, recipe_for
from env.tasks.networks.efficientnet_lite import PRETRAINED_HINT, pretrained_file
from env.tasks.objective.named import objective_of
from env.tasks.objective.targets import are_classes
from env.tasks.own import NetworkMaker, own_task
from env.tasks.preprocessing import Normalisation, parse_normalisation
from env.tasks.task import Task
from env.tasks.task_config import OWN, PRETRAINED, TaskConfig
from env.tasks.weights.fit import fit_weights, read_weights
from quant.objective.objective import Objective


def load_task(config: TaskConfig) -> Task:
    """Load a task's data and describe its network.

    Raises:
        DataError: a data file is missing, truncated or not what it claims, or the weights' file
            does not fit the network.
        TaskError: the user's function does not exist, raises, or returns something else, or the
            network does not take the data.
    """
    objective = objective_of(config)
    weights = read_weights(_weights_file(config)) if config.weights else None
    names = tuple(weights.state) if weights is not None else ()
    task = _own(config, objective, names) if config.name == OWN else _LOAD[config.name](config)
    task = replace(task, objective=objective)
    if config.augment:
        task = replace(task, augment=chosen_augment(config.augment, task.example))
    if config.name != OWN and config.model:
        task = _with_own_model(task, config.model)
    elif config.name != OWN and (config.network or names):
        # Only now is it known how many channels and classes there are.
        network = config.network or task.network
        maker = _catalogued(network, names)(task.example.shape[1], task.classes)
        recipe = recipe_for(network, task.recipe)
        task = replace(task, network=network, make_module=maker, recipe=recipe)
    changed: dict[str, Any] = {
        name: value
        for name in ("epochs", "learning_rate", "optimizer")
        if (value := getattr(config, name)) is not None
    }
    if config.takes_as_given:
        changed["epochs"] = 0
    task = replace(task, recipe=replace(task.recipe, **changed))
    if weights is None:
        return task
    weights = fit_weights(weights, task.make_module())
    return replace(task, weights=weights, notes=(*task.notes, *weights.notes))


def _own(config: TaskConfig, objective: Objective, weights: Collection[str]) -> Task:
    load = partial(
        own_task,
        config.data,
        loss=objective.loss.name,
        ignored=config.ignore_label,
        normalisation=_normalisation(config),
    )
    if config.model:
        return load(model=config.model)
    task = load(make_network=_catalogued(config.network, weights))
    try_module(task.make_module(), task.train.images[:2], config.network)
    return replace(task, network=config.network, recipe=recipe_for(config.network, task.recipe))


def _with_own_model(task: Task, model: str) -> Task:
    """Return a task with the user's network, which was tried on its images."""
    example = task.train.images[:2]
    maker = partial(make_given_module, model, example, loss=task.objective.loss.name)
    output = try_module(maker(), example, model)
    notes = task.notes
    if are_classes(task.train.labels.numpy(), task.objective.loss.name, output):
        outputs = outputs_of(output, model)
        if outputs is not None and outputs < task.classes:
            raise TaskError(
                f"task.model: expected {model} to have an output for each of {task.classes} "
                f"classes, found {outputs}"
            )
        if outputs is not None and outputs > task.classes:
            notes += (f"labels: of the network's {outputs} outputs the data use {task.classes}",)
    return replace(task, network=model, make_module=maker, notes=notes)


def _catalogued(network: str, weights: Collection[str]) -> NetworkMaker:
    """Return what gives the maker of a network of ours, from its channels and classes."""

    def make(channels: int, classes: int) -> Callable[[], nn.Module]:
        return network_maker(network, in_channels=channels, classes=classes, weights=weights)

    return make


def _weights_file(config: TaskConfig) -> Path:
    if config.weights != PRETRAINED:
        return Path(config.weights)
    try:
        return Path(pretrained_file())
    except ModuleNotFoundError:
        raise TaskError(
            "task.weights: the package of the pretrained weights is not installed",
            PRETRAINED_HINT,
        ) from None


def _folder(config: TaskConfig) -> Path | None:
    return Path(config.data) if config.data else None


def _normalisation(config: TaskConfig) -> Normalisation | None:
    return parse_normalisation(config.normalize) if config.normalize else None


def _digits(config: TaskConfig) -> Task:
    if config.data:
        raise TaskError(
            f"task.data: the digits come with scikit-learn and take no folder, found {config.data}"
        )
    return digits_task()


def _mnist1d(config: TaskConfig) -> Task:
    if config.data:
        raise TaskError(
            f"task.data: MNIST-1D is made from a seed and takes no folder, found {config.data}"
        )
    return mnist1d_task() if config.name == "mnist1d" else mnist1d_images_task()


def _image_folder(config: TaskConfig) -> Task:
    return image_folder_task(
        _folder(config),
        geometry=Geometry(size=config.pixels, resize=config.resize, crop=config.crop),
        per_class=config.per_class,
        network=config.network,
        normalisation=_normalisation(config),
        cache_mb=config.cache_mb,
        workers=config.workers,
    )


_LOAD: dict[str, Callable[[TaskConfig], Task]] = {
    "digits": _digits,
    "mnist1d": _mnist1d,
    "mnist1d-images": _mnist1d,
    "fashion-mnist": lambda config: fashion_mnist_task(_folder(config), _normalisation(config)),
    "cifar10": lambda config: cifar10_task(_folder(config), _normalisation(config)),
    "image-folder": _image_folder,
}
