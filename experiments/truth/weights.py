"""The float network's weights beside rows and tables: another machine would train other ones."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from experiments.settings.run_config import RunConfig
from quant.records.tensor_file import write_tensors


def weights_beside(path: Path) -> Path:
    """Return where the weights of a file of rows or a table are."""
    return path.with_suffix(".safetensors")


def with_weights_beside(config: RunConfig, path: Path) -> RunConfig:
    """Return a configuration that takes the weights beside a file, where there are any."""
    weights = weights_beside(path)
    if not weights.exists():
        return config
    return replace(config, task=replace(config.task, weights=str(weights)))


def write_weights_beside(module: nn.Module, path: Path) -> None:
    """Write a float network's weights beside a file, in one step."""
    write_tensors(weights_beside(path), module.state_dict())
