"""layer_table: what each layer of a network takes at each width, measured."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from bitalloc.configuring import configuration
from experiments.errors import ConfigError
from experiments.stages.measured import graph_of
from experiments.stages.network_setup import set_up_network
from experiments.terminal.progress import LiveProgress
from hardware.layers.table import LayerTable
from hardware.measure_layers import measure_layer_table
from hardware.open_device import open_device
from quant.layers import MAX_BITS, MIN_BITS
from quant.network import QuantizedNetwork, prepare


def layer_table(
    network: Any,
    example: torch.Tensor | None = None,
    *,
    data: Any = "digits",
    device: Any = "local",
    bits: Sequence[int] = tuple(range(MIN_BITS, MAX_BITS + 1)),
    equal_bits: bool = False,
    **settings: Any,
) -> LayerTable:
    """Measure every layer at every pair of weight and activation bits. Weights do not matter.

    Args:
        network: As of `bitalloc.search`.
        example: Inputs, float32 `[N, ...]`, for a module; then `data` is not looked at.
        data: As of `bitalloc.search`.
        device: As of `bitalloc.search`.
        bits: Widths, 2 to 8.
        equal_bits: Only weights and activations of one width: a seventh of the time.
        settings: As of `bitalloc.search`, such as `protocol`.

    Raises:
        BitAllocError: the network cannot be captured, or a layer cannot be built.
        HardwareLostError: the device is gone.
    """
    if example is not None and not isinstance(network, nn.Module):
        raise ConfigError(
            f"example: expected it beside a torch.nn.Module, found {type(network).__name__}"
        )
    named = None if example is not None else network
    config = configuration(
        named, "digits" if example is not None else data, device, None, **settings
    )
    with LiveProgress(quiet=config.quiet) as progress:
        if example is not None:
            quantized = _prepared(network, example)
        else:
            quantized = set_up_network(config, progress).network
        opened = open_device(config.device_target, config.protocol)
        try:
            return measure_layer_table(
                opened,
                graph_of(quantized),
                bits,
                lambda done, total, what: progress.stage("layer table", done, total, what),
                equal_bits=equal_bits,
            )
        finally:
            opened.close()


def _prepared(module: nn.Module, example: torch.Tensor) -> QuantizedNetwork:
    network = prepare(module.eval(), example[:1])
    network.calibrate(example)
    return network
