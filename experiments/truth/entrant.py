"""Entrant: a method as it takes part in a contest, with what it shares switched on or off."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from agents.judging.config import Judged
from agents.methods import METHODS
from experiments.errors import ConfigError
from experiments.settings.keys import hint_at

_SWITCH = re.compile(r"([+-])([a-z]+)")
_RACE = 3
"""Evaluations of a race that is switched on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entrant:
    """What `mckp`, `mckp+posterior+race` or `bayes-race` stands for."""

    method: str
    switches: tuple[tuple[str, bool], ...]

    def settings(self, config: Any) -> Any:
        """Return the method's settings, switched; None for a method that has none."""
        settings: Any = getattr(config, self.method) if METHODS[self.method].config else None
        values = {name: _RACE * on if name == "race" else on for name, on in self.switches}
        return replace(settings, **values) if values else settings


def entrant_of(name: str) -> Entrant:
    """Return what a name stands for.

    Raises:
        ConfigError: there is no such method, or it has no such switch.
    """
    method = re.split("[+-]", name)[0]
    if method not in METHODS:
        raise ConfigError(
            f"expected a method of {', '.join(METHODS)}, found {method!r}",
            hint_at(method, METHODS),
        )
    found = _SWITCH.findall(name[len(method) :])
    known = [field.name for field in fields(Judged)]
    config = METHODS[method].config
    if "".join(map("".join, found)) != name[len(method) :] or any(
        switch not in known for _, switch in found
    ):
        raise ConfigError(
            f"expected +NAME or -NAME with {', '.join(known)} after a method, found {name!r}"
        )
    if found and (config is None or not issubclass(config, Judged)):
        raise ConfigError(f"{name}: {method} has nothing that can be switched")
    return Entrant(method=method, switches=tuple((switch, sign == "+") for sign, switch in found))
