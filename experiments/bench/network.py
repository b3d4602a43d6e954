"""The network of a bench: the configured task's, or a well-known one with random weights."""

from dataclasses import dataclass

import torch
from torch import nn

from experiments.bench.standard_networks import NetworkName, example_images, make_network
from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import set_up_network
from experiments.terminal.progress import LiveProgress
from quant.network import QuantizedNetwork, prepare


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BenchNetwork:
    """A network whose candidates are built and timed; nobody asks what it gets right."""

    name: str
    module: nn.Module
    """The float network, in evaluation mode."""
    network: QuantizedNetwork
    """Calibrated."""
    example: torch.Tensor
    """One image, float32 `[1, C, H, W]`."""


def load_bench_network(
    name: NetworkName | None, config: RunConfig, progress: LiveProgress
) -> BenchNetwork:
    """Return a network of the runtime bench with random weights, or the configured task's.

    Args:
        name: A well-known network; None for the task's network.
        config: Names the task, its data and the seed.
        progress: Shows what takes long.

    Raises:
        DataError: the float checkpoint of the task is damaged.
    """
    if name is None:
        setup = set_up_network(config, progress)
        return BenchNetwork(
            name=config.task.name,
            module=setup.module,
            network=setup.network,
            example=setup.task.train.images[:1],
        )
    progress.stage(f"{name}: random weights", 0, 2)
    module = make_network(name, config.seed)
    image = example_images(name, 1, config.seed + 1)
    progress.stage(f"{name}: random weights", 1, 2, "calibration")
    network = prepare(module, image)
    network.calibrate(image)  # one image is enough: time does not depend on scales
    progress.stage(f"{name}: random weights", 2, 2)
    return BenchNetwork(name=name, module=module, network=network, example=image)
