"""YAML 1.2 as configurations need it: no surprises among scalars, nothing said twice, no bombs.

PyYAML reads YAML 1.1, in which `010` is 8, `off` is false and `1e-3` a text. This is its safe
loader with the scalars of YAML 1.2's core schema, and with limits that are checked on the stream of
events, before anything is built of them.

Source: "YAML Ain't Markup Language", version 1.2.2, section 10.3.2.
"""

import re
from collections.abc import Hashable
from typing import Any

import yaml

_BYTES = 1_000_000
_DEPTH = 20
"""Of sections and lists in each other; a configuration has four."""
_NODES = 100_000
"""Of the document with every alias written out; aliases of aliases of aliases grow without end."""
_CHARACTERS = 10_000
"""Of one text."""
_DIGITS = 40


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # the loader's own name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [self.construct_object(name, deep=True) for name, _ in node.value]
        for place, name in enumerate(names):
            mark = node.value[place][0].start_mark
            if not isinstance(name, str):
                raise _refusal(f"expected names of keys, found {name!r}", mark)
            if name in names[:place]:
                raise _refusal(f"{name} is there twice", mark)
        return super().construct_mapping(node, deep=deep)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    if len(node.value) > _DIGITS:
        raise _refusal(f"expected a number, found one of {len(node.value):,} digits", node)
    return int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10))


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
        r"|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _firsts = [character.replace("\0", "") for character in _first]
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _firsts
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def read_yaml(content: bytes) -> Any:
    """Return what a file holds, in UTF-8, or UTF-16 with its mark.

    Raises:
        yaml.YAMLError: it is not YAML, says something twice, or is larger or deeper than any
            configuration; its text is one sentence.
    """
    if len(content) > _BYTES:
        raise yaml.YAMLError(f"expected at most {_BYTES:,} bytes, found {len(content):,}")
    try:
        _check_events(content)
        return yaml.load(content, _Loader)
    except ValueError as error:  # a date that is none, by its tag
        raise yaml.YAMLError(str(error)) from None


def _check_events(content: bytes) -> None:
    """Refuse what would take for ever to build, or more stack than there is."""
    sizes: dict[str, int] = {}  # of what has a name, once it has ended
    opened: list[tuple[str | None, int]] = []
    nodes = 0
    for event in yaml.parse(content, _Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _refusal(f"*{event.anchor} is a part of itself, or not there", event)
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if len(event.value) > _CHARACTERS:
                raise _refusal(f"expected at most {_CHARACTERS:,} characters in a value", event)
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, nodes))
            nodes += 1
            if len(opened) > _DEPTH:
                raise _refusal(f"expected at most {_DEPTH} sections in each other", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = nodes - before
        if nodes > _NODES:
            raise _refusal(f"expected at most {_NODES:,} values, aliases written out", event)


def _refusal(problem: str, place: Any) -> yaml.YAMLError:
    mark = getattr(place, "start_mark", place)
    return yaml.YAMLError(f"line {mark.line + 1}: {problem}")
