"""decision_space: from layers, bit choices and what a user says of single layers to decisions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from env.decisions.decisions import Decision, DecisionSpace, Part, parts_by_layer, parts_of
from env.decisions.layer_rules import LayerRule, Menu
from env.errors import LayerRuleError
from quant.layers import FLOAT_BITS, INPUT_BITS, LayerSpec


@dataclass(kw_only=True, slots=True, eq=False)
class _Group:
    """Parts with one width, and what is left of the menus that rules gave them."""

    parts: list[Part]
    menu: set[int] | None = None
    """None while no rule has said anything."""
    rules: list[LayerRule] = field(default_factory=list)
    """Those that made it what it is."""

    def keep(self, menu: Menu | set[int], rule: LayerRule) -> None:
        """Leave only the widths of a rule's menu, where it has one.

        Raises:
            LayerRuleError: none is left.
        """
        if menu is None:
            return
        self.rules.append(rule)
        self.menu = set(menu) if self.menu is None else self.menu & set(menu)
        if any(part.is_tensor for part in self.parts):
            self.menu -= {FLOAT_BITS}  # which activations never are
        if not self.menu:
            texts = dict.fromkeys(repr(known.text) for known in self.rules)
            raise LayerRuleError(
                f"env.layers: expected rules that leave a width for {self.parts[0]}, found "
                f"{' and '.join(texts)}, which contradict each other",
                "every rule holds for each layer that it matches",
            )


def decision_space(
    layers: Sequence[LayerSpec], bit_choices: Sequence[int], rules: Sequence[LayerRule] = ()
) -> DecisionSpace:
    """Return what may be decided.

    Every rule holds for each layer that it matches, in whatever order they stand: of several menus
    for one width, what they have in common is left. What no rule names has the bit choices.

    Args:
        layers: The network's layers.
        bit_choices: Widths of what no rule has a menu for, in increasing order.
        rules: What the user says of single layers.

    Raises:
        LayerRuleError: a rule matches nothing, cannot be kept, or contradicts another one, or
            nothing is left to be decided.
    """
    parts = parts_of(layers)
    groups = {part: _Group(parts=[part]) for part in parts}
    by_layer = parts_by_layer(layers)
    for rule in rules:
        _apply(rule, layers, by_layer, groups)
    decisions: list[Decision] = []
    fixed: dict[Part, int] = {}
    for group in dict.fromkeys(groups[part] for part in parts):  # as their first parts stand
        group.parts.sort(key=parts.index)
        menu = tuple(sorted(bit_choices if group.menu is None else group.menu))
        if len(menu) > 1:
            decisions.append(Decision(parts=tuple(group.parts), menu=menu))
        else:
            fixed |= dict.fromkeys(group.parts, menu[0])
    if not decisions:
        raise LayerRuleError(
            "env.layers: expected at least one layer with a choice of widths, found none",
            "give some layer a menu, such as NAME=4,8",
        )
    return DecisionSpace(
        layers=tuple(layers),
        bit_choices=tuple(sorted(bit_choices)),
        decisions=tuple(decisions),
        fixed=fixed,
        rules=tuple(rule.text for rule in rules),
    )


def _apply(
    rule: LayerRule,
    layers: Sequence[LayerSpec],
    by_layer: Mapping[str, tuple[Part | None, Part | None]],
    groups: dict[Part, _Group],
) -> None:
    names = set(rule.matching([layer.name for layer in layers]))
    matched = [layer for layer in layers if layer.name in names]
    inputs = [layer.name for layer in matched if layer.reads_input]
    if (
        rule.apart
        and rule.activations
        and INPUT_BITS not in rule.activations
        and (len(inputs) == len(matched))
    ):
        raise LayerRuleError(
            f"env.layers: expected {INPUT_BITS} bits of activations for {inputs[0]}, which reads "
            f"the network's input, found {rule.text!r}",
            f"the input always has {INPUT_BITS} bits: write {INPUT_BITS} or * after the /",
        )
    pairs = [by_layer[layer.name] for layer in matched]
    weights, read = _sides(matched, pairs)
    if weights and weights[0].is_tensor and rule.weights == (FLOAT_BITS,):
        raise LayerRuleError(
            f"env.layers: expected widths of tensors for {weights[0].layer}, a product of two, "
            f"found {rule.text!r}",
            "only layers can be left in float",
        )
    for part in weights:
        groups[part].keep(rule.weights, rule)
    for part in read:
        groups[part].keep(rule.activations, rule)
    for tied in _ties(rule, pairs, weights, read):
        if tied:
            _merge([groups[part] for part in tied], rule, groups)


def _sides(
    matched: Sequence[LayerSpec], pairs: Sequence[tuple[Part | None, Part | None]]
) -> tuple[list[Part], list[Part]]:
    """Return the parts that a rule's two menus are for.

    Both tensors of a product are read, as activations are. Where a rule is for products alone, its
    menus are for their right and their left tensors.
    """
    alone = not any(layer.has_weights for layer in matched)
    first: list[Part | None] = []
    second: list[Part | None] = []
    for layer, (right, left) in zip(matched, pairs, strict=True):
        (first if layer.has_weights or alone else second).append(right)
        second.append(left)
    weights, read = (
        list(dict.fromkeys(part for part in side if part is not None)) for side in (first, second)
    )
    return weights, read


def _ties(
    rule: LayerRule,
    pairs: Sequence[tuple[Part | None, Part | None]],
    weights: list[Part],
    read: list[Part],
) -> Iterator[list[Part]]:
    """Yield the sets of parts that a rule gives one width each."""
    if rule.tie == "tied":
        yield from [weights, read] if rule.apart else [weights + read]
    elif rule.tie == "paired":
        for first, second in pairs:
            if first is not None and second is not None:
                yield [first, second]


def _merge(tied: Sequence[_Group], rule: LayerRule, groups: dict[Part, _Group]) -> None:
    first, *others = dict.fromkeys(tied)
    for other in others:
        first.rules += [*other.rules, rule]
        first.parts += other.parts
        first.keep(first.menu if other.menu is None else other.menu, rule)
        groups |= dict.fromkeys(other.parts, first)
