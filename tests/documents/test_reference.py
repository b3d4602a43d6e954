"""The reference has what is promised to stay, and pictures are of what the code computes."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import bitalloc
from experiments.settings.run_config import RunConfig
from tools.draw_table_step import CODES, WEIGHTS, draw

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_facade_is_documented_whole() -> None:
    page = (DOCS / "api" / "facade.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: [\w.]*?(\w+)$", page, re.MULTILINE)
    assert set(bitalloc.__all__) <= set(shown)


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
