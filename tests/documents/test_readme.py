"""README is short, and says nothing that the site does not say in the same words."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 200


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_it_has_at_most_two_hundred_lines() -> None:
    assert len(read("README.md").splitlines()) <= MOST_LINES


def test_it_begins_as_the_site_does() -> None:
    beginning = read("README.md").split("## Two commands")[0]
    assert read("docs/index.md").startswith(beginning)


def test_its_lines_of_python_are_those_of_the_first_steps() -> None:
    (program,) = re.findall(r"```python\n.*?```", read("README.md"), re.DOTALL)
    assert program in read("docs/first_steps.md")


def test_its_words_are_those_of_the_glossary() -> None:
    rows = [line for line in section(read("README.md"), "Words").splitlines() if line[:1] == "|"]
    assert len(rows) > 10
    assert not [row for row in rows if row not in read("docs/glossary.md")]


def test_its_limits_are_among_the_limits() -> None:
    limits = re.findall(r"^- .*?(?=^- |\n\n)", section(read("README.md"), "Limits"), re.M | re.S)
    assert len(limits) > 5
    page = read("docs/limits.md")
    assert not [limit for limit in limits if limit.replace("](docs/", "](").strip() not in page]
