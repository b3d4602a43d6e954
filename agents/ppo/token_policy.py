"""Token policy: reads every decision of a network at once, whatever their number.

Each token passes through the same small network, again and again; in between it is told what the
tokens have in common, so that a decision knows what the others would give for the budget. The sums
are those of Zaheer et al. 2017, "Deep Sets" (NeurIPS): the order of tokens says nothing that they
do not say.

    tokens -> embed -> + common -> + common -> current decision, all, those to come
                                                 |-> prices, temperature, corrections
    total(w, v) = loss(w) + partner's loss(v) + price of time * time(w, v)
                  + price of a byte * bytes(w)
    logit(w) = ln sum over v of exp(-temperature * total(w, v)) + correction(w)

`v` is what the tensor will have that the weights meet, or the other way round, while nobody has
decided it: two bits with eight are seldom faster than six with seven, but alone they seem to be.
"""

from typing import Any

import torch
from gymnasium import spaces
from sb3_contrib.common.maskable.policies import MaskableMultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import Schedule
from torch import nn
from torch.nn import functional

from env.token_observer import JOINT, LOG_SPAN, STATE, TOKEN, WHOLE, WIDTHS
from quant.layers import MIN_BITS

_THERE, _CURRENT, _DECIDED = (
    STATE.index(name) for name in ("is_there", "is_current", "is_decided")
)
_LOSS = slice(first := TOKEN.index(f"loss_{MIN_BITS}"), first + len(WIDTHS))
_SHRINK = slice(first := TOKEN.index(f"shrink_{MIN_BITS}"), first + len(WIDTHS))
_DECISIONS = WHOLE.index("log_decisions")
_TIME = [WHOLE.index(name) for name in ("latency_budget", "energy_budget")]
_SIZE = [WHOLE.index("model_bytes_budget")]
_PRICED = (2 + len(JOINT)) * len(WIDTHS)
"""Features at the end: what each width loses and the bytes it takes, and the times and losses of
`JOINT`."""
_LEAST_LOGIT = -1e6
"""Stable-Baselines3 gives what is not legal -1e8, which nothing legal may fall below."""
_STRETCH = 4.0
"""Logarithms of price and temperature are so many times what the network says."""


class TokenExtractor(BaseFeaturesExtractor):
    """Features of the current decision, of all decisions and of those to come."""

    def __init__(self, observation_space: spaces.Dict, width: int = 64, rounds: int = 2) -> None:
        """Make the layers.

        Args:
            observation_space: `tokens` float32 `[length, T]`, `whole` float32 `[W]` and `joint`
                float32 `[len(JOINT), len(WIDTHS)]`.
            width: Numbers that a token becomes.
            rounds: How often tokens are told what they have in common.
        """
        super().__init__(observation_space, features_dim=4 * width + len(WHOLE) + _PRICED)
        self.embed = _mlp(len(TOKEN) + len(WHOLE), width)
        self.rounds = nn.ModuleList(_mlp(4 * width, width) for _ in range(rounds))

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return `[N, features_dim]` of what `TokenObserver.space` holds, `[N, ...]` each."""
        tokens, whole, joint = (observations[name] for name in ("tokens", "whole", "joint"))
        shares = _shares(tokens)
        found = beside(self.embed, tokens, whole)
        for step in self.rounds:
            found = found + beside(step, found, (shares[:, 1:] @ found).flatten(1))
        row = (shares[:, :1] @ tokens)[:, 0]
        return torch.cat([(shares @ found).flatten(1), whole, _priced(row, whole, joint)], 1)


class TokenPolicy(MaskableMultiInputActorCriticPolicy):  # type: ignore[misc]  # untyped
    """Actor and critic over tokens."""

    def __init__(self, *args: Any, width: int = 64, hidden: int = 128, **kwargs: Any) -> None:
        """Make the networks; arguments but these two are Stable-Baselines3's.

        Args:
            *args: Spaces and learning rate.
            width: Numbers that a token becomes.
            hidden: Widths of the actor's and of the critic's hidden layers.
            **kwargs: As of the class above.
        """
        self._hidden = hidden
        kwargs |= {"features_extractor_class": TokenExtractor}
        kwargs |= {"features_extractor_kwargs": {"width": width}}
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Heads(self.features_dim, self._hidden)

    def _build(self, lr_schedule: Schedule) -> None:
        super()._build(lr_schedule)
        self.action_net = _PriceHead(self.mlp_extractor.latent_dim_pi)
        self.optimizer = self.optimizer_class(
            self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs
        )

    def logits(self, seen: dict[str, torch.Tensor], legal: torch.Tensor) -> torch.Tensor:
        """Return the logits of the actions, minus infinity for those that are not legal.

        What `get_distribution` does, without the objects that a game of microseconds has no time
        for.

        Args:
            seen: `tokens` `[N, length, T]` and `whole` `[N, W]`.
            legal: bool `[N, len(WIDTHS)]`.
        """
        found: torch.Tensor = self.features_extractor(seen)
        found = self.action_net(self.mlp_extractor.forward_actor(found))
        return found.masked_fill(~legal, -torch.inf)


class _Heads(nn.Module):
    """Hidden layers of actor and critic; the actor's keep the priced features as they are."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.actor, self.critic = (_mlp(inputs - _PRICED, hidden) for _ in range(2))
        self.latent_dim_pi, self.latent_dim_vf = hidden + _PRICED, hidden

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.actor(features[:, :-_PRICED]), features[:, -_PRICED:]], 1)

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        latent: torch.Tensor = self.critic(features[:, :-_PRICED])
        return latent


class _PriceHead(nn.Module):
    """Logits of the widths: what they lose, and what they take at prices that the network says."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.says = nn.Linear(inputs - _PRICED, 3 + len(WIDTHS))
        nn.init.zeros_(self.says.weight)
        nn.init.zeros_(self.says.bias)

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        says, priced = latent.tensor_split((-_PRICED,), 1)
        priced = priced.unflatten(1, (-1, len(WIDTHS)))
        losses, sizes, times, partner = priced.split((1, 1, len(WIDTHS), 1), 1)
        of_time, of_size, temperature, corrections = self.says(says).tensor_split((1, 2, 3), 1)
        prices = [(_STRETCH * price).exp()[:, None] for price in (of_time, of_size)]
        own = (losses + prices[1] * sizes).transpose(1, 2)  # a row for each width
        total = own + partner + prices[0] * times  # and a column for each of the partners
        logits: torch.Tensor = (-(_STRETCH * temperature).exp()[:, None] * total).logsumexp(2)
        logits = logits + corrections
        return logits.clamp_min(_LEAST_LOGIT)


def beside(layers: nn.Module, own: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """Return what layers make of each token beside what all tokens have in common.

    As of the two in one row, but what is shared is multiplied once and not for each token.

    Args:
        layers: Of `_mlp`.
        own: `[N, length, A]`.
        shared: `[N, B]`.
    """
    first, _, second, _ = layers.children()
    assert isinstance(first, nn.Linear)
    split = own.shape[2]
    found = functional.linear(own, first.weight[:, :split])
    found += functional.linear(shared, first.weight[:, split:], first.bias)[:, None]
    found = functional.silu(second(functional.silu(found)))
    return found


def _shares(tokens: torch.Tensor) -> torch.Tensor:
    """Return what takes sums over tokens, `[N, 4, length]`.

    They are the current token, the mean of all, and sum and mean of those to come as shares of all.
    """
    there = tokens[:, :, _THERE]
    to_come = there * (1.0 - tokens[:, :, _DECIDED])
    count, later = (each.sum(1, keepdim=True).clamp_min(1.0) for each in (there, to_come))
    return torch.stack([tokens[:, :, _CURRENT], there / count, to_come / count, to_come / later], 1)


def _priced(row: torch.Tensor, whole: torch.Tensor, joint: torch.Tensor) -> torch.Tensor:
    """Return what each width of the current decision loses and takes, in a decision's mean share.

    Logarithms that a policy can compare are shares of a whole again that it can add.
    """
    count = (LOG_SPAN * whole[:, _DECISIONS, None]).exp()
    logs = torch.stack([row[:, _LOSS], row[:, _SHRINK]], 1)
    shares = torch.where(logs > 0, (LOG_SPAN * (logs - 1.0)).exp(), 0.0)
    losses, saved = (shares * count[:, None]).unbind(1)
    sizes = saved.amax(1, keepdim=True) - saved
    savings, partner = (joint * count[:, None]).split((len(WIDTHS), 1), 1)
    times = savings.amax((1, 2), keepdim=True) - savings
    # What is free has no price, whatever the network says of it. Energy is priced as time.
    times = times * (whole[:, _TIME] < 1.0).any(1)[:, None, None]
    sizes = sizes * (whole[:, _SIZE] < 1.0)
    return torch.cat([losses, sizes, times.flatten(1), partner.flatten(1)], 1)


def _mlp(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
