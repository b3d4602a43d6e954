"""Examples of the documents: fenced blocks, and commands within sentences.

A block that is not to be run has the reason in a comment above it: `<!-- not run: REASON -->`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *ROOT.glob("docs/**/*.md")]
)
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
_INLINE = re.compile(r"`([^`]+)`")
_COMMAND = re.compile(r"(?:python -m experiments\.|\bbitalloc )(?P<name>[a-z]+)(?P<rest>[^|)]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A fenced block of a page."""

    language: str
    text: str
    reason: str
    """Why it is not run; empty where it is."""


def name_of(page: Path) -> str:
    """Return what a page is called in messages, such as `docs/energy.md`."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Example]:
    """Yield the blocks that can be run: Python, shell and configurations."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if found["language"] != "text":
            reason = " ".join((found["reason"] or "").split())
            yield Example(language=found["language"], text=found["text"], reason=reason)


def lines(shell: str) -> Iterator[str]:
    """Yield the commands of a shell block, each on one line and without its comment."""
    for line in shell.replace("\\\n", " ").splitlines():
        yield re.sub(r"\s+#.*", "", line)


def typed(page: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield every command of the project's own on a page, in blocks and in sentences."""
    text = page.read_text(encoding="utf-8")
    spans = _INLINE.findall(re.sub(r"```.*?```", "", text, flags=re.S))
    shell = [line for each in blocks(page) if each.language == "bash" for line in lines(each.text)]
    for line in (*shell, *(" ".join(span.split()) for span in spans)):
        if found := command_in(line):
            yield found


def command_in(line: str) -> tuple[str, Sequence[str]] | None:
    """Return the command of the project's own that a line starts: its name, the words after it."""
    found = _COMMAND.search(line)
    return (found["name"], shlex.split(found["rest"])) if found else None
