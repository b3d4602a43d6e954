"""The user's own network and data: functions named as `package.module:function`."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from env.errors import TaskError
from env.tasks.task import HELD_OUT, Split, Task
from quant.errors import DataError
from quant.retraining.float_training import TrainConfig

_SEARCH_SHARE = 0.15
"""Share of the training data held out as the search split where the user gives none."""
_SPLIT_SEED = 2026
_RETURNS = (
    'return {"train": (inputs, labels), "test": (inputs, labels)}, with "search" as well if the '
    "split should be yours"
)


def find_function(name: str, key: str) -> Callable[[], Any]:
    """Import `package.module:function`.

    Args:
        name: The function's name; its module must be importable, as those in the current folder.
        key: The configuration's key, for messages.

    Raises:
        TaskError: no such module or function, or the module cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise TaskError(f"{key}: expected package.module:function, found {name!r}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may fail in any way
        raise TaskError(
            f"{key}: cannot import {module_name}: {error or type(error).__name__}",
            "start from the folder that the module lies in, or install its package",
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise TaskError(f"{key}: {module_name} has no function {function_name!r}")
    return function  # type: ignore[no-any-return]


def make_own_module(name: str) -> nn.Module:
    """Return the network that `task.model` names.

    Raises:
        TaskError: no such function, or it returns something else.
    """
    module = find_function(name, "task.model")()
    if not isinstance(module, nn.Module):
        raise TaskError(
            f"task.model: expected {name} to return a torch.nn.Module, "
            f"found {type(module).__name__}"
        )
    return module


def own_task(name: str, make_module: Callable[[], nn.Module], network: str) -> Task:
    """Return a task of the user's data.

    Args:
        name: `package.module:function`; see RETURNS for what it returns.
        make_module: Makes the network, untrained.
        network: What the network is called.

    Raises:
        TaskError: no such function.
        DataError: it returns something else than arrays of equal lengths.
    """
    document = find_function(name, "task.data")()
    if not isinstance(document, Mapping) or not {"train", "test"} <= set(document):
        raise DataError(f"{name}: expected its training and test data", _RETURNS)
    train, test = (_split(document[part], f"{name}, {part}") for part in ("train", "test"))
    if "search" in document:
        train = _shuffled(train)
        search, origin = _split(document["search"], f"{name}, search"), "given by your function"
    else:
        (train, search), origin = _hold_out(train), HELD_OUT
    for part in (search, test):
        if part.images.shape[1:] != train.images.shape[1:]:
            raise DataError(
                f"{name}: expected inputs of one shape, found {list(train.images.shape[1:])} "
                f"and {list(part.images.shape[1:])}"
            )
    return Task(
        name="own",
        network=network,
        classes=1 + max(int(part.labels.max()) for part in (train, search, test)),
        make_module=make_module,
        recipe=TrainConfig(epochs=20, batch_size=64, learning_rate=0.05),
        train=train,
        search=search,
        test=test,
        search_origin=origin,
    )


def _split(pair: Any, where: str) -> Split:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(
            f"{where}: expected (inputs, labels), found {type(pair).__name__}", _RETURNS
        )
    try:
        images = torch.as_tensor(np.asarray(pair[0]) if isinstance(pair[0], list) else pair[0])
        labels = torch.as_tensor(np.asarray(pair[1]) if isinstance(pair[1], list) else pair[1])
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: expected arrays or tensors: {error}", _RETURNS) from None
    if images.ndim < 2 or labels.ndim != 1 or len(images) != len(labels) or not len(labels):
        raise DataError(
            f"{where}: expected inputs [N, ...] and labels [N], found {list(images.shape)} and "
            f"{list(labels.shape)}"
        )
    if labels.is_floating_point() or int(labels.min()) < 0:
        raise DataError(f"{where}: expected class numbers from 0 as labels")
    images = images.float()
    if not bool(torch.isfinite(images).all()):
        raise DataError(f"{where}: expected finite inputs, found NaN or infinity")
    return Split(images=images, labels=labels.to(torch.int64))


def _shuffled(split: Split) -> Split:
    """Return a split in another order, always the same: files are often sorted by class.

    What is calibrated and compensated on comes first, and should be of all classes.
    """
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    return Split(images=split.images[order], labels=split.labels[order])


def _hold_out(train: Split) -> tuple[Split, Split]:
    """Return what is left to train on, and the search split."""
    held = max(1, round(_SEARCH_SHARE * len(train)))
    if held >= len(train):
        raise DataError(f"expected more than {len(train)} training examples", _RETURNS)
    mixed = _shuffled(train)
    return (
        Split(images=mixed.images[held:], labels=mixed.labels[held:]),
        Split(images=mixed.images[:held], labels=mixed.labels[:held]),
    )
