"""Configuring: from what a caller gives to the configuration of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from bitalloc.given import name_data, name_network
from env.decisions.budget import BudgetConfig
from env.tasks import TaskConfig
from env.tasks.networks.catalogue import NETWORKS
from env.tasks.task_config import OWN, TASKS
from experiments.errors import ConfigError
from experiments.settings.keys import hint_at
from experiments.settings.run_config import RunConfig
from hardware.target import TargetConfig

_RUNNERS = ("local", "simulated")


def configuration(network: Any, data: Any, device: Any, budget: Any, **settings: Any) -> RunConfig:
    """Return the configuration of a run.

    Args:
        network: A trained module, the name of one in the catalogue, `package.module:function`, an
            ONNX file, or None for the task's own.
        data: The name of a task, `package.module:function`, a file, or the data themselves.
        device: `local`, `simulated`, or a `TargetConfig`.
        budget: A share of all-8-bit's latency, a `BudgetConfig`, or None for the default.
        settings: Fields of `RunConfig`, such as `evaluations`, or sections of it, such as `env`.

    Raises:
        BitAllocError: a value is out of its range, or there is no such setting.
    """
    known = RunConfig.__dataclass_fields__
    if unknown := [name for name in settings if name not in known]:
        raise ConfigError(
            f"expected settings of a run ({', '.join(known)}), found {unknown[0]!r}",
            hint_at(unknown[0], known, "bitalloc run --help says what they are"),
        )
    config = RunConfig(
        task=_task(network, data), target=_target(device), budget=budget_config(budget)
    )
    if "output" in settings:
        settings["output"] = str(settings["output"])  # paths are welcome
    return replace(config, **settings)


def _task(network: Any, data: Any) -> TaskConfig:
    network, data = (str(each) if isinstance(each, Path) else each for each in (network, data))
    if network is not None and not isinstance(network, str | nn.Module):
        raise ConfigError(
            f"network: expected a torch.nn.Module or a name, found {type(network).__name__}",
            "names are those of the catalogue, package.module:function, or FILE.onnx",
        )
    named = isinstance(data, str)
    if named and data in TASKS:
        if isinstance(network, nn.Module):
            return TaskConfig(name=data, model=name_network(network), epochs=0)
        if network is None or network in NETWORKS:
            return TaskConfig(name=data, network=network or "")
        return TaskConfig(name=data, model=network)
    where = data if named else name_data(data)
    if isinstance(network, nn.Module):
        return TaskConfig(name=OWN, data=where, model=name_network(network), epochs=0)
    if network in NETWORKS:
        return TaskConfig(name=OWN, data=where, network=network)
    return TaskConfig(name=OWN, data=where, model=network or "")


def _target(device: Any) -> TargetConfig:
    if isinstance(device, TargetConfig):
        return device
    if device not in _RUNNERS:
        raise ConfigError(
            f"device: expected one of {', '.join(_RUNNERS)} or a TargetConfig, found {device!r}",
            "for a board: hardware.target.TargetConfig(board='rpi4', server='HOST:PORT')",
        )
    return TargetConfig(runner=device)


def budget_config(budget: Any) -> BudgetConfig:
    """Return what a caller's budget stands for, as of `configuration`.

    Raises:
        ConfigError: it is neither.
    """
    if budget is None:
        return BudgetConfig()
    if isinstance(budget, BudgetConfig):
        return budget
    if isinstance(budget, bool) or not isinstance(budget, int | float):
        raise ConfigError(
            f"budget: expected a share of all-8-bit's latency or a BudgetConfig, found {budget!r}",
            "such as 0.6, or env.decisions.budget.BudgetConfig(model_bytes=100_000)",
        )
    return BudgetConfig(latency_ratio=float(budget))
