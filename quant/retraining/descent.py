"""Descents: how gradients become steps, with a rate of its own for each value."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.rates import Rates, rates_of

_SECOND_DECAY = 0.999
_SMALLEST = 1e-12
"""Added to the root of the squares: far below any gradient, so that its scale does not matter."""


class Descent(Protocol):
    """Moves the parameters of a network."""

    def step(self, scale: float) -> None:
        """Move along the present gradients by `scale` times the largest rates."""


def descent_for(
    network: QuantizedNetwork,
    config: FinetuneConfig,
    deviations: dict[str, float],
    reach: float,
) -> Descent:
    """Return the descent that a configuration asks for.

    Args:
        network: As it is before the first step.
        config: The optimizer and its rates.
        deviations: As `rates_of` takes them.
        reach: As `rates_of` takes it.
    """
    if config.optimizer == "sgd":
        return PlainDescent(network, config)
    rates = rates_of(network, config, deviations, reach)
    return ScaledAdam(dict(network.named_parameters()), rates, config.momentum)


class ScaledAdam:
    """Adam whose rate is a tensor.

    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], rates: Rates, first_decay: float
    ) -> None:
        """Start with no past.

        Args:
            parameters: All of a network's, by name; those without a rate are left alone.
            rates: Shaped as the parameters.
            first_decay: Share of the past in the mean gradient.
        """
        self._moved = [parameters[name] for name in rates]
        self._rates = list(rates.values())
        self._mean = [torch.zeros_like(rate) for rate in self._rates]
        self._square = [torch.zeros_like(rate) for rate in self._rates]
        self._decay = first_decay
        self._steps = 0

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Move along the present gradients by `scale` times the rates."""
        self._steps += 1
        first = 1 - self._decay**self._steps
        second = 1 - _SECOND_DECAY**self._steps
        for value, rate, mean, square in zip(
            self._moved, self._rates, self._mean, self._square, strict=True
        ):
            if value.grad is None:
                continue
            mean.lerp_(value.grad, 1 - self._decay)
            square.mul_(_SECOND_DECAY).addcmul_(value.grad, value.grad, value=1 - _SECOND_DECAY)
            spread = (square / second).sqrt_().add_(_SMALLEST)
            value.sub_((mean * rate).div_(spread), alpha=scale / first)


class PlainDescent:
    """Gradient descent with momentum and one rate for all weights, one for all steps."""

    def __init__(self, network: QuantizedNetwork, config: FinetuneConfig) -> None:
        """Start with no past; `config` has a learning rate."""
        weights = {"params": network.weight_parameters(), "weight_decay": config.weight_decay}
        steps = {"params": network.step_parameters(), "weight_decay": 0.0}
        self._rates = (config.learning_rate or 0.0, config.absolute_step_rate or 0.0)
        self._optimizer = torch.optim.SGD([weights, steps], lr=0.0, momentum=config.momentum)

    def step(self, scale: float) -> None:
        """Move along the present gradients by `scale` times the rates."""
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * scale
        self._optimizer.step()
