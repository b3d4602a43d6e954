"""The shipped prior: where it is from, and that the fit finds what networks were drawn by."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from env.responses.laplace import Whitened, approximate
from env.responses.layer_facts import FACTS
from env.responses.prior import WIDE, ResponsePrior
from env.responses.shipped import FILE, shipped_prior
from experiments.errors import RunFolderError
from tools.fit_responses.command import read_networks
from tools.fit_responses.fitting import fit_prior
from tools.fit_responses.networks import KINDS
from tools.fit_responses.rows import MeasuredNetwork

TRUE = replace(WIDE, intercept=-2.0, slope=0.6, per_bit=-0.3, common_sd=0.4, decision_sd=0.6)


def drawn(seed: int, prior: ResponsePrior) -> MeasuredNetwork:
    """A network of twelve decisions whose responses a prior draws; nothing is trained."""
    rng = np.random.default_rng(seed)
    decisions = np.repeat(np.arange(12), 3)
    bits = np.tile([2, 3, 4], 12)
    rises = np.exp(rng.normal(-2, 1, 12)[decisions] - 0.8 * (bits - 2))
    chosen = [
        [3 * step + int(place) for step, place in enumerate(rng.integers(0, 4, 12)) if place < 3]
        for _ in range(24)
    ]
    one = MeasuredNetwork(
        seed=seed,
        kind=KINDS[0],
        task="none",
        code="",
        commit="",
        seconds=0.0,
        float_accuracy=1.0,
        decisions=decisions.tolist(),
        bits=bits.tolist(),
        facts=np.zeros((36, len(FACTS))).tolist(),
        rises={"gauss-newton": rises.tolist(), "measured": rises.tolist()},
        chosen=chosen,
        losses=[0.0] * 24,
        errors=[0.001] * 24,
    )
    whitened = Whitened.of(prior, one.columns("gauss-newton"))
    responses = np.exp(whitened.mean + whitened.root @ rng.standard_normal(36))
    losses = one.likelihood().rows @ responses + rng.normal(0, 0.005, 24) + rng.normal(0, 0.005)
    return replace(one, losses=losses.tolist())


@pytest.mark.slow
def test_the_fit_finds_what_networks_were_drawn_by() -> None:
    networks = [drawn(seed, TRUE) for seed in range(8)]
    found = fit_prior(networks, "gauss-newton", "a test", facts=False)
    assert found.evidence > found.guess_evidence
    assert found.prior.slope == pytest.approx(TRUE.slope, abs=0.25)
    assert found.prior.per_bit == pytest.approx(TRUE.per_bit, abs=0.25)
    assert 0.5 < found.prior.decision_sd / TRUE.decision_sd < 2.0
    assert 0.5 < found.prior.noise / TRUE.noise < 2.0


def test_the_shipped_prior_says_where_it_is_from() -> None:
    document = json.loads(FILE.read_text())
    assert shipped_prior().source.startswith("fitted to")
    assert document["command"].startswith("python -m tools.fit_responses")
    assert document["commits"]
    assert {network["task"] for network in document["networks"]} <= {
        "digits",
        "fashion-mnist",
        "mnist1d",
    }
    rows = Path(__file__).parents[3] / "tools" / "fit_responses" / "networks.jsonl"
    networks = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [n["seed"] for n in networks] == [n["seed"] for n in document["networks"]]
    # What is shipped is likelier than the guess, on what was measured.
    parts = [
        (one.columns("gauss-newton"), one.likelihood())
        for one in (MeasuredNetwork(**network) for network in networks)
    ]
    ours, guess = (
        sum(approximate(prior, *part).evidence for part in parts)
        for prior in (replace(shipped_prior(), kind="gauss-newton"), WIDE)
    )
    assert ours > guess


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.jsonl"
    file.write_text('{"a": 1}\n')
    with pytest.raises(RunFolderError, match="expected measured networks in"):
        read_networks(file)
    assert read_networks(tmp_path / "none.jsonl") == []
