"""The user's own data: what a function named as `package.module:function` returns."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from env.errors import TaskError
from env.tasks.given_module import make_given_module, outputs_of, try_module
from env.tasks.objective.targets import are_classes, targets_of
from env.tasks.own_data.arrays import RETURNS, Array, as_inputs, read_arrays
from env.tasks.own_data.file import read_data_file
from env.tasks.own_data.labels import class_numbers
from env.tasks.own_data.layout import Layout, image_layout, layouts
from env.tasks.own_function import call_function
from env.tasks.preprocessing import Normalisation, Preprocessing
from env.tasks.task import HELD_OUT, Split, Task
from env.tasks.task_config import DATA_FILES
from quant.errors import DataError
from quant.objective.loss import CROSS_ENTROPY
from quant.retraining.float_training import TrainConfig

_SEARCH_SHARE = 0.15
"""Share of the training data held out as the search split where the user gives none."""
_SPLIT_SEED = 2026
_SEARCH = ("search", "val", "valid", "validation")
"""What the search split may be called."""

NetworkMaker = Callable[[int, int], Callable[[], nn.Module]]
"""Given the channels and classes, returns what makes the network."""


def own_task(
    name: str,
    *,
    model: str = "",
    make_network: NetworkMaker | None = None,
    loss: str = CROSS_ENTROPY.name,
    ignored: int = 255,
    normalisation: Normalisation | None = None,
) -> Task:
    """Return a task of the user's data.

    Args:
        name: `package.module:function`, see RETURNS for what it returns; or a file of arrays.
        model: `package.module:function` of the network.
        make_network: In place of `model`, given the channels and classes.
        loss: Name of the loss, which says what labels are.
        ignored: Label that is no class, in label maps.
        normalisation: Mean and deviation of each channel, of pixels in 0..1; None for none.

    Raises:
        TaskError: no such function, or the network cannot take the inputs.
        DataError: it returns something else than arrays of equal lengths.
    """
    if name.endswith(DATA_FILES):
        document: Any = read_data_file(Path(name))
    else:
        document = call_function(name, "task.data")
    if not isinstance(document, Mapping) or "train" not in document:
        raise DataError(f"{name}: expected its training and test data", RETURNS)
    read = {}
    given = {}
    for part, key in _keys(document, name).items():
        inputs, given[part] = read_arrays(document[key], f"{name}, {key}")
        read[part] = as_inputs(inputs, f"{name}, {key}")
    _check_shapes({part: inputs for part, (inputs, _) in read.items()}, name)
    first, largest = read["train"]
    if model:
        layout, output = _tried(model, first, given["train"], loss)
    else:
        layout, output = image_layout(first), None
    if are_classes(given["train"], loss, output):
        labels = class_numbers(given, outputs_of(output, model), name)
    else:
        labels = targets_of(given, loss, ignored, name, output)
    preprocessing = _preprocessing(layout.move(first[:1]), largest, layout, normalisation)
    splits = {
        part: Split(images=_normal(layout.move(inputs), preprocessing), labels=labels.numbers[part])
        for part, (inputs, _) in read.items()
    }
    if "search" in splits:
        train, search = _shuffled(splits["train"]), splits["search"]
    else:
        train, search = _hold_out(splits["train"])
    example = train.images[:2]
    if model:
        make_module: Callable[[], nn.Module] = partial(make_given_module, model, example)
    else:
        assert make_network is not None
        make_module = make_network(example.shape[1], labels.classes)
    return Task(
        name="own",
        network=model,
        classes=labels.classes,
        make_module=make_module,
        recipe=TrainConfig(epochs=20, batch_size=64, learning_rate=0.05),
        train=train,
        search=search,
        test=splits["test"],
        search_origin="given by your function" if "search" in splits else HELD_OUT,
        labels=labels.names,
        preprocessing=preprocessing,
        notes=(*([layout.note] if layout.note else []), *labels.notes),
    )


def _keys(document: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return under which of the document's keys each part lies."""
    known = [key for key in _SEARCH if key in document]
    if len(known) > 1:
        raise DataError(f"{name}: expected one search split, found {' and '.join(known)}", RETURNS)
    keys = {"train": "train"} | ({"search": known[0]} if known else {})
    if "test" in document:
        return keys | {"test": "test"}
    if known and known[0] != "search":
        return {"train": "train", "test": known[0]}
    raise DataError(f"{name}: expected its training and test data", RETURNS)


def _check_shapes(inputs: Mapping[str, torch.Tensor], name: str) -> None:
    train = inputs["train"]
    for part in inputs.values():
        if part.shape[1:] != train.shape[1:]:
            raise DataError(
                f"{name}: expected inputs of one shape, found {list(train.shape[1:])} "
                f"and {list(part.shape[1:])}"
            )
    if train.ndim > 4:
        raise DataError(
            f"{name}: expected inputs [N, C, H, W], [N, C, L] or [N, F], found {list(train.shape)}"
        )
    if bool((train == train.flatten()[0]).all()):
        raise DataError(f"{name}: expected inputs that differ, found the same number everywhere")


def _tried(
    model: str, inputs: torch.Tensor, labels: Array, loss: str
) -> tuple[Layout, torch.Tensor | None]:
    """Return the likeliest layout that the user's network takes, and what it makes of two."""
    failed: TaskError | None = None
    for layout in layouts(inputs.ndim):
        moved = layout.move(inputs[:2])
        try:
            module = make_given_module(model, moved)
            output = try_module(module, moved, model)
            if are_classes(labels, loss, output):
                outputs_of(output, model)  # refuses maps, which another layout may not give
            return layout, output
        except TaskError as error:
            failed = failed or error
    assert failed is not None
    raise failed


def _preprocessing(
    example: torch.Tensor,
    largest: float,
    layout: Layout,
    normalisation: Normalisation | None,
) -> Preprocessing | None:
    """Return how pixels become inputs; None where the user's numbers are what they are."""
    if normalisation is None and largest == 1.0:
        return None
    plain = Preprocessing(largest=largest, geometry=layout.note.partition(": ")[2])
    return plain.with_normalisation(normalisation, example.shape[1])


def _normal(inputs: torch.Tensor, preprocessing: Preprocessing | None) -> torch.Tensor:
    """Return inputs, already in 0..1, normalised."""
    if preprocessing is None:
        return inputs
    shape = (1, -1, *[1] * (inputs.ndim - 2))
    mean = torch.tensor(preprocessing.mean).reshape(shape)
    return (inputs - mean) / torch.tensor(preprocessing.deviation).reshape(shape)


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
        raise DataError(f"expected more than {len(train)} training examples", RETURNS)
    mixed = _shuffled(train)
    return (
        Split(images=mixed.images[held:], labels=mixed.labels[held:]),
        Split(images=mixed.images[:held], labels=mixed.labels[:held]),
    )
