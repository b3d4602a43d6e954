"""Help by sections: a screen of what there is, and one section at a time on demand."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from experiments.errors import ConfigError

ALL = "all"
_HELP = ("-h", "--help")
_FEW = 60
"""Lines of a help that needs no sections."""
_TITLE = re.compile(r"^╭─ (?:(?P<name>[\w.]+) )?options ─")
_WIDEST = 78
_METHODS = "For the method"
"""What the words of a method's own settings hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One box of the whole help."""

    name: str
    """As its flags begin, such as `env.finetune`; empty for the flags of no section."""
    lines: tuple[str, ...]

    @property
    def words(self) -> str:
        """What stands above its flags."""
        lines = [line.strip("│ ") for line in self.lines[1:]]
        until = next((at for at, line in enumerate(lines) if set(line) == {"─"}), 0)
        return " ".join(lines[:until])


def asked_for(arguments: Sequence[str]) -> Sequence[str] | None:
    """Return the sections that a command line wants help on; None where it wants none.

    Args:
        arguments: `--help` and the names after it, among others.
    """
    for at, argument in enumerate(arguments):
        if argument in _HELP:
            return [name for name in arguments[at + 1 :] if not name.startswith("-")]
    return None


def shorten(text: str, wanted: Sequence[str], program: str) -> str:
    """Return the part of a whole help that is wanted.

    Args:
        text: The whole help, with a box for each section.
        wanted: Names of sections; none for the first screen, `all` for everything.
        program: What was typed, for the hints.

    Raises:
        ConfigError: there is no such section.
    """
    head, sections = _split(text)
    if ALL in wanted or (not wanted and len(text.splitlines()) <= _FEW):
        return text
    if not wanted:
        return "\n".join([*head, *_own(sections), *_listed(sections, program)])
    lines: list[str] = []
    for name in wanted:
        found = [s for s in sections if s.name == name or s.name.startswith(f"{name}.")]
        if not name or not found:
            raise ConfigError(
                f"--help: expected one of {', '.join(_top(sections))}, found {name!r}",
                f"{program} --help {ALL} shows everything",
            )
        lines += [line for section in found for line in section.lines]
    return "\n".join(lines)


def _split(text: str) -> tuple[list[str], list[Section]]:
    """Return the lines before the first box, and the boxes."""
    head: list[str] = []
    boxes: list[tuple[str, list[str]]] = []
    for line in text.rstrip("\n").splitlines():
        if title := _TITLE.match(line):
            boxes.append((title["name"] or "", []))
        (boxes[-1][1] if boxes else head).append(line)
    return head, [Section(name=name, lines=tuple(lines)) for name, lines in boxes]


def _own(sections: Sequence[Section]) -> Iterator[str]:
    for section in sections:
        if not section.name:
            yield from section.lines


def _top(sections: Sequence[Section]) -> list[str]:
    return list(dict.fromkeys(s.name.partition(".")[0] for s in sections if s.name))


def _listed(sections: Sequence[Section], program: str) -> Iterator[str]:
    """Name the sections, each with what it is about; those of methods share a line."""
    about = {section.name: section.words for section in sections}
    top = _top(sections)
    methods = [name for name in top if _METHODS in about.get(name, "")]
    width = max(map(len, top), default=0)
    yield "sections:"
    for name in top:
        if name not in methods:
            words = about.get(name, "").partition(". ")[0].rstrip(".")
            yield from wrap(
                words,
                _WIDEST,
                initial_indent=f"  {name:<{width}}  ",
                subsequent_indent=" " * (width + 4),
            ) or [f"  {name}"]
    if methods:
        yield from wrap(
            f"settings of methods: {', '.join(methods)}",
            _WIDEST,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    yield f"{program} --help SECTION shows one of them, --help {ALL} everything"
