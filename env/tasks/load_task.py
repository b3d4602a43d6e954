"""Which tasks there are, and how the configuration names them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from env.errors import TaskError
from env.tasks.cifar10 import cifar10_task
from env.tasks.digits import digits_task
from env.tasks.fashion_mnist import fashion_mnist_task
from env.tasks.image_file import Geometry
from env.tasks.image_folder import image_folder_task
from env.tasks.networks.catalogue import network_maker
from env.tasks.networks.efficientnet_lite import PRETRAINED_HINT, pretrained_file
from env.tasks.own import make_own_module, own_task
from env.tasks.preprocessing import parse_normalisation
from env.tasks.task import Task
from env.tasks.task_config import OWN, PRETRAINED, TaskConfig
from env.tasks.weights.fit import fit_weights, read_weights


def load_task(config: TaskConfig) -> Task:
    """Load a task's data and describe its network.

    Raises:
        DataError: a data file is missing, truncated or not what it claims, or the weights' file
            does not fit the network.
        TaskError: the user's function does not exist or returns something else.
    """
    weights = read_weights(_weights_file(config)) if config.weights else None
    if config.name == OWN:
        task = own_task(config.data, *_own_network(config))
    else:
        task = _LOAD[config.name](config)
    if config.name != OWN and config.model:
        make_module, network = _own_network(config)
        task = replace(task, network=network, make_module=make_module)
    elif config.network or weights is not None:
        # Only now is it known how many channels and classes there are.
        network = config.network or task.network
        maker = network_maker(
            network,
            in_channels=task.example.shape[1],
            classes=task.classes,
            weights=weights.state if weights is not None else (),
        )
        task = replace(task, network=network, make_module=maker)
    changed: dict[str, Any] = {
        name: value
        for name in ("epochs", "learning_rate")
        if (value := getattr(config, name)) is not None
    }
    task = replace(task, recipe=replace(task.recipe, **changed))
    if weights is None:
        return task
    weights = fit_weights(weights, task.make_module())
    return replace(task, weights=weights, notes=(*task.notes, *weights.notes))


def _own_network(config: TaskConfig) -> tuple[Callable[[], nn.Module], str]:
    return partial(make_own_module, config.model), config.model or config.network


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


def _digits(config: TaskConfig) -> Task:
    if config.data:
        raise TaskError(
            f"task.data: the digits come with scikit-learn and take no folder, found {config.data}"
        )
    return digits_task()


def _image_folder(config: TaskConfig) -> Task:
    return image_folder_task(
        _folder(config),
        geometry=Geometry(size=config.pixels, resize=config.resize, crop=config.crop),
        per_class=config.per_class,
        network=config.network,
        normalisation=parse_normalisation(config.normalize) if config.normalize else None,
    )


_LOAD: dict[str, Callable[[TaskConfig], Task]] = {
    "digits": _digits,
    "fashion-mnist": lambda config: fashion_mnist_task(_folder(config)),
    "cifar10": lambda config: cifar10_task(_folder(config)),
    "image-folder": _image_folder,
}
