"""python -m tools.describe_familiar: what the shipped policy and prior know, for zero-shot answers.

Draws networks as `python -m tools.train_policy` does, and fits a line through the sensitivities of
the networks that `python -m tools.fit_responses` retrained. Writes
`experiments/zero_shot/familiar.json`.
"""

from pathlib import Path

import numpy as np

from env.responses.layer_facts import FACTS
from env.responses.shipped import shipped_prior
from experiments.zero_shot.familiar import FILE, Familiar, Range, TypicalRises, properties_of
from quant.layers import MIN_BITS
from quant.records.json_form import json_text
from tools.fit_responses.command import read_networks
from tools.train_policy.networks import draw_space, draw_times

_RETRAINED = Path(__file__).with_name("fit_responses") / "networks.jsonl"
_NETWORKS = 512
_SEED = 2026


def main() -> None:
    """Draw, fit and write."""
    found = Familiar(drawn=_NETWORKS, properties=_properties(), rises=_rises())
    FILE.write_text(json_text(found, indent=1) + "\n", encoding="utf-8")


def _properties() -> dict[str, Range]:
    rng = np.random.default_rng(_SEED)
    rows = []
    for _ in range(_NETWORKS):
        space = draw_space(rng)
        rows.append(properties_of(space, draw_times(space.layers, rng)))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {
        name: Range(
            mean=float(values.mean()),
            deviation=float(values.std()),
            least=float(values.min()),
            most=float(values.max()),
        )
        for name, values in columns.items()
    }


def _rises() -> TypicalRises:
    prior = shipped_prior()
    networks = read_networks(_RETRAINED)
    columns = [network.columns(prior.kind) for network in networks]
    logs = np.log(np.maximum(np.concatenate([c.rises for c in columns]), 0.0) + prior.least_rise)
    bits = np.concatenate([c.bits for c in columns]).astype(np.float64)
    facts = np.concatenate([c.facts for c in columns])
    design = np.column_stack([np.ones(len(bits)), bits - MIN_BITS, facts])
    fitted, *_ = np.linalg.lstsq(design, logs, rcond=None)
    intercept, per_bit, *of_facts = fitted.tolist()
    assert len(of_facts) == len(FACTS)
    return TypicalRises(
        intercept=intercept,
        per_bit=per_bit,
        facts=tuple(of_facts),
        deviation=float((logs - design @ fitted).std()),
        networks=len(networks),
    )


if __name__ == "__main__":
    main()
