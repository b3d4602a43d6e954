"""Config keys: the dotted names of a tree of dataclasses, and what a wrong one was meant to be."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from experiments.errors import ConfigError


def dotted_keys(config: Any) -> list[str]:
    """List the dotted names of all values of a dataclass tree, in the order of its fields."""
    return list(dotted_values(config))


def dotted_values(config: Any) -> dict[str, Any]:
    """Return every value of a dataclass tree by its dotted name, in the order of its fields."""
    values: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            inner = dotted_values(value)
            values.update({f"{field.name}.{name}": found for name, found in inner.items()})
        else:
            values[field.name] = value
    return values


def in_sections(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a document with its dotted keys, `env.finetune.steps: 30`, in their sections.

    Raises:
        ConfigError: a key is there twice, once in its section and once dotted.
    """
    made: dict[str, Any] = {}
    for key, value in document.items():
        section, dot, rest = key.partition(".")
        inner = {rest: value} if dot else value
        if isinstance(inner, dict) and isinstance(made.get(section, {}), dict):
            _merge(made.setdefault(section, {}), in_sections(inner, where), section, where)
        elif section in made:
            raise ConfigError(f"{section} is there twice, in {where}")
        else:
            made[section] = inner
    return made


def _merge(into: dict[str, Any], more: Mapping[str, Any], section: str, where: str) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value, f"{section}.{key}", where)
        elif key in into:
            raise ConfigError(f"{section}.{key} is there twice, in {where}")
        else:
            into[key] = value


def closest(name: str, names: Iterable[str]) -> str:
    """Return the name that `name` was probably meant to be, or an empty text."""
    names = list(names)
    matches = difflib.get_close_matches(name, names, n=1)
    if not matches:
        # A key without its section: `repeats` for `protocol.repeats`.
        matches = [known for known in names if known.rsplit(".", 1)[-1] == name]
    return matches[0] if matches else ""


def hint_at(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return the hint that asks for the closest name, or `otherwise` where none is like it."""
    meant = closest(name, names)
    return f"did you mean {meant}?" if meant else otherwise


def unknown_key(key: str, names: Sequence[str], where: str, hint: str) -> ConfigError:
    """Return the refusal of a key that is none of `names`.

    Args:
        key: The key.
        names: Those that there are.
        where: The place that has it.
        hint: What helps where no name is like it.
    """
    sections = {name.split(".")[0] for name in names}
    return ConfigError(f"unknown key {key}, in {where}", hint_at(key, [*names, *sections], hint))
