"""TruthSubject: what decides the rows of a table of truth, and on what they were made."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from env.evaluating.stored_accuracies import code_digest
from env.tasks.task import Split
from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import NetworkSetup
from quant.records.json_form import EXACT, to_plain
from quant.records.state_digest import state_digest


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthSubject:
    """Everything but allocation and seed that decides a row; rows of two subjects never mix."""

    __pydantic_config__ = EXACT

    task: dict[str, Any]
    """The configuration's section, but for where the weights lie."""
    env: dict[str, Any]
    """Bit choices, rules for layers, calibration and retraining."""
    run_seed: int
    """Of the float network."""
    network: str
    """Digest of the float network's weights."""
    data: list[str]
    """Digests of the training split and of the images that are scored."""
    images: int
    """How many those are."""
    decisions: list[str]
    """What each decides, in words, in the order of an episode."""
    menus: list[list[int]]
    """Widths of each decision: allocations are numbered by them, the first counting most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TruthSource:
    """On what rows were made; a table may have several."""

    __pydantic_config__ = EXACT

    cpu: str
    torch: str
    code: str
    """Digest of the sources that retrain and score."""


DECIDES = ("bit_choices", "layers", "calibration_images", "equalize", "finetune")
"""Keys of the configuration's section `env` that decide rows."""


def subject_of(setup: NetworkSetup, search: Split) -> TruthSubject:
    """Return what decides the rows of a set-up network, scored on `search`."""
    config: RunConfig = setup.config
    env = to_plain(asdict(config.env))
    decisions = setup.space.decisions
    return TruthSubject(
        task=to_plain(asdict(replace(config.task, weights=""))),
        env={name: env[name] for name in DECIDES} | config.env.arithmetic_key,
        run_seed=config.seed,
        network=state_digest(setup.module.state_dict()),
        data=[split.digest for split in (setup.task.train, search)],
        images=len(search),
        decisions=list(map(str, decisions)),
        menus=[list(decision.menu) for decision in decisions],
    )


def source_here(cpu: str, torch: str) -> TruthSource:
    """Return on what rows are made now."""
    return TruthSource(cpu=cpu, torch=torch, code=code_digest())
