"""RunConfig: everything that decides a run. Each section is defined beside its owner."""

import math
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, TypeVar

from agents.methods import METHODS
from env.decisions.budget import BudgetConfig
from env.evaluating.env_config import EnvConfig
from env.evaluating.reward import RewardConfig
from env.evaluating.training_pool import WorkersConfig
from env.tasks import TaskConfig
from experiments.errors import ConfigError
from experiments.settings.keys import dotted_values, hint_at
from hardware.measuring.energy_config import EnergyConfig
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from quant.records.ranges import at_least, at_most, check_ranges, within
from quant.retraining.finetune_config import FinetuneConfig

_MOST_SEEDS = 2**32
"""Seeds that numpy and torch both take."""

Class = TypeVar("Class")


def _add_method_sections(config: type[Class]) -> type[Class]:
    """Give a class that becomes a dataclass one section for each method that has settings.

    They stand before its last field.
    """
    last, of_last = config.__annotations__.popitem()
    for name, method in METHODS.items():
        if method.config is not None:
            assert name not in config.__annotations__, f"{name} is a key of every run"
            config.__annotations__[name] = method.config
            title = (method.config.__doc__ or "").split("\n")[0]
            metadata = {"help": f"{title} For the method {name}."}
            setattr(config, name, field(default_factory=method.config, metadata=metadata))
    config.__annotations__[last] = of_last
    return config


@dataclass(frozen=True, kw_only=True, slots=True)
@_add_method_sections
class RunConfig:
    """One run of the main job; the defaults are the digits task on this machine.

    Beside the sections that stand here, each of `METHODS` with settings has one of its name.
    """

    method: str = "ppo"
    """How allocations are searched."""
    evaluations: Annotated[int, at_least(1), at_most(1_000_000)] = 24
    """Evaluation limit: how many allocations are retrained and measured, the uniform ones
    included."""
    seed: Annotated[int, within(0, _MOST_SEEDS - 1)] = 0
    """Seed of the float network, the retraining and the search."""
    output: str = "runs"
    """Folder in which the run's own folder is made."""
    store: str = ""
    """SQLite file of measurements that several runs may share; empty means `store.sqlite` in
    `output`."""
    quiet: bool = False
    """Show no live progress line."""
    tune: bool = True
    """Choose the kernels' tiles by a measured search, for at most `target.tune_s` seconds; its
    choices are kept for later runs. Without, every layer gets the default tile."""
    task: TaskConfig = field(default_factory=TaskConfig)
    """The network and its data."""
    target: TargetConfig = field(default_factory=TargetConfig)
    """The device, and the kernels it gets."""
    protocol: ProtocolConfig = field(default_factory=ProtocolConfig)
    """How programs are timed."""
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    """Where joules come from; without a meter there are none."""
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    """What the allocation may use. With nothing set: a third of the way from the fastest uniform
    allocation's measured time to all-8's, or the same of model bytes where bits buy no time."""
    env: EnvConfig = field(default_factory=EnvConfig)
    """Bit choices, retraining of each evaluation, reward."""
    train: WorkersConfig = field(default_factory=WorkersConfig)
    """Who retrains candidates."""
    final: FinetuneConfig = field(default_factory=lambda: FinetuneConfig(steps=600))
    """The longer retraining of python -m experiments.evaluate, from the float checkpoint."""

    @property
    def device_target(self) -> TargetConfig:
        """The target as a device gets it: without tile choices where `tune` is off."""
        return self.target if self.tune else replace(self.target, tune_s=0.0)

    @property
    def method_settings(self) -> Any:
        """The section of the chosen method; None where it has no settings."""
        return getattr(self, self.method) if METHODS[self.method].config else None

    @property
    def reward(self) -> RewardConfig:
        """What counts how much, the inverse question included."""
        if self.budget.accuracy_drop is None:
            return self.env.reward
        return self.env.reward.asked_inversely(self.budget.accuracy_drop)

    def __post_init__(self) -> None:
        """Refuse what no section can see by itself."""
        if self.method not in METHODS:
            raise ConfigError(
                f"method: expected one of {', '.join(METHODS)}, found {self.method!r}",
                hint_at(self.method, METHODS),
            )
        check_ranges(self, "", ConfigError)
        for name, value in dotted_values(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{name}: expected a finite number, found {value}")
        if self.task.metric_is_share:
            self._check_shares()
        if self.budget.energy_key:
            self.energy.require(self.budget.energy_key)
        if self.env.reward.energy_weight:
            self.energy.require("env.reward.energy_weight")
        if self.train.ray:
            self._check_cluster()
        if not self.output:
            raise ConfigError("output: expected a folder, found an empty name")

    def _check_cluster(self) -> None:
        """Refuse retrainings that depend on those before them, or on this machine's device."""
        env = self.env
        for key, found, wanted in (
            ("env.weights", env.weights, "reset"),
            ("env.retrain", env.retrain, "end"),
            ("env.accuracy_on", env.accuracy_on, "integers"),
        ):
            if found != wanted:
                raise ConfigError(
                    f"train.ray: a cluster retrains with {key}: {wanted}, found {found}",
                    "leave --train.ray out, and this machine does it",
                )

    def _check_shares(self) -> None:
        """Refuse a part of an accuracy that is more than all of it."""
        for name, share in (
            ("budget.accuracy_drop", self.budget.accuracy_drop),
            ("env.reward.accuracy_drop", self.env.reward.accuracy_drop),
            ("env.reward.accuracy_floor", self.env.reward.accuracy_floor),
        ):
            if share is not None and share >= 1:
                raise ConfigError(
                    f"{name}: expected less than 1, found {share}",
                    "one percentage point is 0.01",
                )
