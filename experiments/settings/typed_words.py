"""Words that can be typed: commands, flags and their values, as a table for shell completion."""

import ast
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, replace
from typing import Annotated, Any, Union

import tyro

from experiments.settings.command_line import Command

_SPEC = "COMPLETION_SPEC = "
"""Begins the line of tyro's own completion script that lists everything."""
_LONGEST = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """A flag, or the name of a command."""

    name: str
    kind: str
    """`command`, `flag` (takes no value), `choice` (one of `values`), `path` (any text, or a file)
    or `value`."""
    several: bool = False
    """Whether it takes more than one value."""
    values: tuple[str, ...] = ()
    about: str = ""
    """One line."""


def list_words(
    commands: Mapping[str, Command | Mapping[str, Command]],
    about: Mapping[str, str],
    suggestions: Mapping[str, Sequence[str]],
) -> dict[Word, list[str]]:
    """Return each word with the commands that it may follow, such as `bench.runtime`.

    Args:
        commands: What can be typed first; several commands may share their first name.
        about: What the first names do; of further ones, the docstring of their options says it.
        suggestions: Values of flags whose type is any text.
    """
    found: dict[Word, list[str]] = {}
    for path, word in _walk(_spec(_choice(commands)), ""):
        if word.name in suggestions:
            word = replace(word, kind="choice", values=tuple(suggestions[word.name]))
        elif word.kind == "command":
            word = replace(
                word, about=_about(commands[path], word.name) if path else about[word.name]
            )
        found.setdefault(word, []).append(path)
    return found


def _about(commands: Command | Mapping[str, Command], name: str) -> str:
    assert not isinstance(commands, Command)
    return _first_sentence((commands[name].options.__doc__ or "").partition("\n\n")[0])


def _choice(commands: Mapping[str, Command | Mapping[str, Command]]) -> Any:
    """Return the type that tyro makes subcommands of."""
    named = (
        Annotated[
            each.options if isinstance(each, Command) else _choice(each),
            tyro.conf.subcommand(name),
        ]
        for name, each in commands.items()
    )
    return Union[tuple(named)]  # noqa: UP007


def _spec(options: Any) -> Mapping[str, Any]:
    """Return what tyro lists; its own scripts are too long for fish, and take long at each Tab."""
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        tyro.cli(options, args=["--tyro-write-completion", "bash", "-"], prog="any")
    lines = printed.getvalue().splitlines()
    (spec,) = (line.removeprefix(_SPEC) for line in lines if line.startswith(_SPEC))
    listed: Mapping[str, Any] = ast.literal_eval(spec)
    return listed


def _walk(spec: Mapping[str, Any], path: str) -> Iterator[tuple[str, Word]]:
    for option in spec["options"]:
        _, _, words = option["description"].rpartition(" • ")
        for flag in option["flags"]:
            yield (
                path,
                Word(
                    name=flag,
                    kind="flag" if option["type"] == "boolean" else option["type"],
                    several=option.get("nargs") not in (None, 0, 1, "?"),
                    values=tuple(option.get("choices", ())),
                    about=_first_sentence(words),
                ),
            )
    for name, inner in spec["subcommands"].items():
        yield path, Word(name=name, kind="command")
        yield from _walk(inner, f"{path}.{name}".strip("."))


def _first_sentence(text: str) -> str:
    sentence = " ".join(text.split()).partition(" (default:")[0].partition(". ")[0].rstrip(".")
    return sentence if len(sentence) <= _LONGEST else f"{sentence[: _LONGEST - 3]}..."
