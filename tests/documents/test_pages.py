"""The documents lead where they say, in a checkout as on the site; MkDocs is not needed."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.site_pages import OUTSIDE

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / name for name in OUTSIDE), *DOCS.rglob("*.md")])
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
REFERENCE = re.compile(r"^::: ([\w.]+)$", re.MULTILINE)


def prose(document: Path) -> str:
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """Headings as the site spells them in addresses; forges must spell them alike."""
    found = set()
    for heading in HEADING.findall(prose(document)):
        plain = re.sub(r"[^\w\s-]", "", heading).strip().lower()
        if re.sub(r"[-\s]+", "-", plain) == re.sub(r"\s", "-", plain):
            found.add(re.sub(r"\s", "-", plain))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_what_is_there(document: Path) -> None:
    links = [link for link in LINK.findall(prose(document)) if "://" not in link]
    for link in links:
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link
        if DOCS in document.parents:
            # The site has docs/, and what its hook adds to it.
            inside = DOCS in target.parents
            assert inside or target.relative_to(ROOT).as_posix() in OUTSIDE, link


def test_every_page_is_in_the_navigation_once() -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        inner = entry.values() if isinstance(entry, dict) else entry
        return [page for each in inner for page in pages(each)]

    nav = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    there = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert sorted(nav) == sorted([*there, *OUTSIDE.values()])


def test_what_the_reference_shows_is_there() -> None:
    for page in (DOCS / "api").glob("*.md"):
        names = REFERENCE.findall(page.read_text(encoding="utf-8"))
        assert names
        for name in names:
            try:
                shown = import_module(name)
            except ModuleNotFoundError:
                module, _, attribute = name.rpartition(".")
                shown = getattr(import_module(module), attribute)
            assert shown.__doc__, name
