"""Unseen: what is believed of a network before anything of it was trained or measured."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version

import numpy as np

from agents.judging.beliefs import Beliefs
from agents.ppo.token_weights import FILE, SHIPPED
from env.decisions.decisions import DecisionSpace
from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from env.practice.scales import Scales
from env.responses.columns import Floats, response_columns
from env.responses.shipped import shipped_prior
from env.sensitivity.sensitivities import no_sensitivities
from experiments.errors import ConfigError
from experiments.zero_shot.familiar import Distance, distance_to_familiar, familiar
from experiments.zero_shot.network_facts import NetworkFacts, check_sizes
from experiments.zero_shot.times import Times, estimate_times, known_layers
from quant.layers import MAX_BITS, MIN_BITS
from quant.objective.metric import ACCURACY

_DIGITS = 12
_MEASURED = "measured"


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """Beliefs of a network that nobody has searched, and how much they are worth."""

    beliefs: Beliefs
    """Its scores are differences from all-8's, which is not known."""
    times: str
    """Where milliseconds come from, in words."""
    distance: Distance
    policy_version: str


def believe_unseen(
    facts: NetworkFacts,
    bit_choices: Sequence[int] = tuple(range(MIN_BITS, MAX_BITS + 1)),
    rules: Sequence[str] = (),
    searched: Iterable[Beliefs] = (),
) -> Unseen:
    """Return what is believed of a network by its layers alone.

    What each width loses is the prior's mean, with sensitivities as those of retrained networks
    typically are.

    Args:
        facts: Its layers, and their times where they were measured.
        bit_choices: Widths that may be chosen.
        rules: What the user says of single layers.
        searched: What finished searches on the same device know, whose layers tell times.

    Raises:
        BitAllocError: a rule does not fit the network, or a time is missing.
    """
    space = decision_space(facts.layers, sorted(bit_choices), parse_rules(rules))
    if space.float_layers:
        raise ConfigError(
            f"expected widths of 2 to 8 bits, found float for {', '.join(space.float_layers)}",
            "what a layer takes and loses in float is known of networks that were searched alone",
        )
    widths = space.measured_widths
    if facts.table is not None:
        facts.check_times(widths)
        times = Times(table=facts.table, source=_MEASURED)
    else:
        times = estimate_times(facts.layers, widths, known_layers(searched))
    check_sizes(times.table)
    responses, fixed_loss = _typical_responses(space)
    prior = shipped_prior()
    beliefs = Beliefs(
        layers=space.layers,
        bit_choices=space.bit_choices,
        rules=space.rules,
        table=times.table,
        scales=Scales(),
        responses=tuple(
            tuple(None if np.isnan(value) else float(value) for value in row) for row in responses
        ),
        fixed_loss=fixed_loss,
        metric=ACCURACY,
        reference_score=0.0,
        noise=prior.noise,
        prior=f"{prior.source}; typical sensitivities, as this network's were not measured",
        evaluations=0,
        policy=SHIPPED,
    )
    return Unseen(
        beliefs=beliefs,
        times=times.source,
        distance=distance_to_familiar(space, times.table),
        policy_version=policy_version(),
    )


@cache
def policy_version() -> str:
    """Return the package's version and the beginning of the weights' SHA-256."""
    digest = hashlib.sha256(FILE.read_bytes()).hexdigest()
    return f"{version('bitalloc')}+{digest[:_DIGITS]}"


def _typical_responses(space: DecisionSpace) -> tuple[Floats, float]:
    """Return mean quality lost, `[decisions, len(space.widths)]`, and by what rules fix."""
    columns = response_columns(space, no_sensitivities(space))
    prior, typical = shipped_prior(), familiar().rises
    rises = np.exp(typical.logs(columns.bits.astype(np.float64), columns.facts))
    columns = replace(columns, rises=rises)
    # Of a logarithm that is Gaussian: the network's own sensitivities are a part of the spread.
    spread = prior.variance(columns) + (prior.slope * typical.deviation) ** 2
    responses = np.exp(prior.mean(columns) + 0.5 * spread)
    return columns.table(responses), float(responses[columns.fixed].sum())
