"""The reference has what is promised to stay, and pictures are of what the code computes."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from inspect import get_annotations
from pathlib import Path
from types import FunctionType, ModuleType
from typing import get_args

import pytest

import bitalloc
from experiments.settings.run_config import RunConfig
from tools.draw_table_step import CODES, WEIGHTS, draw

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_facade_is_documented_whole() -> None:
    page = (DOCS / "api" / "facade.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: [\w.]*?(\w+)$", page, re.MULTILINE)
    assert set(bitalloc.__all__) <= set(shown)


INTERFACES = (
    *("bitalloc.environment", "bitalloc.result", "bitalloc.searching", "bitalloc.tables"),
    *("agents.methods", "agents.search", "env.bit_allocation", "env.tasks.task", "hardware.device"),
)
"""Modules whose classes and functions users call and extenders write."""
OURS = ("agents", "bitalloc", "env", "experiments", "hardware", "quant")


def shown() -> set[type]:
    """Return the classes that the reference describes."""
    found: set[type] = set()
    for page in (DOCS / "api").glob("*.md"):
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
            place, _, attribute = name.rpartition(".")
            one = getattr(import_module(place), attribute, None)
            if one is None or isinstance(one, ModuleType):
                found |= {each for each in vars(import_module(name)).values() if is_of(each, name)}
            elif isinstance(one, type):
                found.add(one)
    return found


def is_of(one: object, module: str) -> bool:
    return isinstance(one, type) and one.__module__ == module


def named_by(module: str) -> Iterator[type]:
    """Yield the project's classes in the annotations of what a module makes public."""
    for name, one in vars(import_module(module)).items():
        if name.startswith("_") or getattr(one, "__module__", "") != module:
            continue
        inner = vars(one).values() if isinstance(one, type) else ()
        for each in (one, *(getattr(value, "fget", value) for value in inner)):
            if isinstance(each, type | FunctionType):
                for hint in get_annotations(each).values():
                    yield from classes(hint)


def classes(hint: object) -> Iterator[type]:
    if isinstance(hint, type) and hint.__module__.partition(".")[0] in OURS:
        yield hint
    for inner in get_args(hint):
        yield from classes(inner)


@pytest.mark.parametrize("module", INTERFACES)
def test_what_an_interface_takes_and_gives_is_documented(module: str) -> None:
    assert not {each for each in named_by(module) if each not in shown()}


def sections(config: object) -> Iterator[type]:
    yield type(config)
    for field in fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from sections(value)


def test_every_section_of_a_configuration_is_documented() -> None:
    page = (DOCS / "api" / "configuration.md").read_text(encoding="utf-8")
    there = {f"{section.__module__}.{section.__qualname__}" for section in sections(RunConfig())}
    assert set(re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE)) == there


def test_the_worked_picture_is_what_the_family_computes() -> None:
    drawn = (DOCS / "table-step.svg").read_text(encoding="utf-8")
    assert drawn == draw()
    (row,) = re.findall(r'<g id="sums">(.*?)</g>', drawn, re.DOTALL)
    sums = [int(number) for number in re.findall(r">(-?\d+)</text>", row)]
    assert sums == [CODES[0] * low + CODES[1] * high for low, high in WEIGHTS]
