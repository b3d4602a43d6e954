"""LayerRule: what a user says of some layers, `blocks.*.conv2=4,8/8` (docs/layers.md)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Literal

from env.errors import LayerRuleError
from quant.layers import FLOAT_BITS, MAX_BITS, MIN_BITS

Tie = Literal["", "paired", "tied"]
"""`paired`: a layer's weights and what it reads have one width. `tied`: all layers of the rule."""
Menu = tuple[int, ...] | None
"""Widths that may be chosen, in increasing order; None leaves them as they are."""

_RULE = re.compile(
    r"(?P<names>[^=\s]+)(=(?P<weights>[^/\s]+)(/(?P<activations>[^/\s]+))?)?"
    r"(\s+(?P<tie>paired|tied))?"
)
_NEAREST = 3
"""Layers that are named where a pattern matches none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerRule:
    """One rule: it holds for each layer that one of its patterns matches."""

    text: str
    """As the user wrote it."""
    patterns: tuple[str, ...]
    """Of layer names, as `fnmatch` has them."""
    weights: Menu = None
    """`FLOAT_BITS` in it leaves a layer in float."""
    activations: Menu = None
    """Of the tensors that the layers read."""
    tie: Tie = ""
    apart: bool = False
    """Whether the two menus stand on both sides of a `/`: tied layers then have one width for their
    weights, and one for what they read."""

    def matching(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the layers that the rule is for, in their order.

        Raises:
            LayerRuleError: a pattern matches none; names the nearest layers.
        """
        found = {
            pattern: {name for name in names if fnmatchcase(name, pattern)}
            for pattern in self.patterns
        }
        for pattern, matched in found.items():
            if not matched:
                near = get_close_matches(pattern, names, n=_NEAREST, cutoff=0.0)
                raise LayerRuleError(
                    f"env.layers: expected a pattern that matches a layer, found {pattern!r} in "
                    f"{self.text!r}",
                    f"the nearest layers are {', '.join(near)}",
                )
        return tuple(name for name in names if any(name in matched for matched in found.values()))


def parse_rules(texts: Iterable[str]) -> tuple[LayerRule, ...]:
    """Read rules, `PATTERN[+PATTERN...][=WIDTHS[/WIDTHS]] [tied|paired]` each.

    Widths are `2` to `8`, or for weights `float`, with commas between them; `*` leaves those of
    `bit_choices`. Without a `/` they are those of weights and activations alike.

    Raises:
        LayerRuleError: a text is no such rule.
    """
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> LayerRule:
    parts = _RULE.fullmatch(text.strip())
    if parts is None or not (parts["weights"] or parts["tie"]):
        raise LayerRuleError(
            f"env.layers: expected PATTERN=WIDTHS or PATTERN=WEIGHTS/ACTIVATIONS, then nothing, "
            f"tied or paired, found {text!r}",
            'for example "stem=8/8", "blocks.*.conv2=4,8/8", "head=float", "blocks.0.*=4,8 tied"',
        )
    patterns, tie = parts["names"].split("+"), parts["tie"] or ""
    if not all(patterns):
        raise LayerRuleError(f"env.layers: expected a pattern on both sides of +, found {text!r}")
    weights = _widths(parts["weights"] or "*", text)
    if parts["activations"]:
        activations = _widths(parts["activations"], text)
        if activations and FLOAT_BITS in activations:
            raise LayerRuleError(
                f"env.layers: expected widths of activations from {MIN_BITS} to {MAX_BITS}, found "
                f"float in {text!r}",
                "a layer is left in float by its weights, NAME=float",
            )
    else:
        activations = tuple(bits for bits in weights or () if bits != FLOAT_BITS) or None
    apart = bool(parts["activations"])
    if weights and FLOAT_BITS in weights and (tie == "paired" or (tie == "tied" and not apart)):
        raise LayerRuleError(
            "env.layers: expected widths that weights and activations can both have, found float "
            f"in {text!r}",
            "activations are never float: write the menus apart, WEIGHTS/ACTIVATIONS tied",
        )
    return LayerRule(
        text=text,
        patterns=tuple(patterns),
        weights=weights,
        activations=activations,
        tie=tie,  # type: ignore[arg-type]
        apart=apart,
    )


def _widths(text: str, rule: str) -> Menu:
    if text == "*":
        return None
    found = set()
    for word in text.split(","):
        bits = FLOAT_BITS if word == "float" else int(word) if word.isdecimal() else 0
        if (bits != FLOAT_BITS and not MIN_BITS <= bits <= MAX_BITS) or word == str(FLOAT_BITS):
            raise LayerRuleError(
                f"env.layers: expected widths from {MIN_BITS} to {MAX_BITS}, float or *, found "
                f"{word!r} in {rule!r}"
            )
        found.add(bits)
    return tuple(sorted(found))
