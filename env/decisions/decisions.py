"""DecisionSpace: which numbers an episode fixes, in which order, and what each may be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

from env.errors import ActionError
from quant.allocation import Allocation, LayerBits, bits_for
from quant.layers import FLOAT_BITS, INPUT_BITS, LayerSpec, width_name

DecisionKind = Literal["weight", "activation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One number of an allocation: a layer's weight bits, or the bits of a tensor."""

    layer: str
    """Whose weights; for a tensor, the first layer or product that reads it."""
    kind: DecisionKind
    """Which of the two numbers there: the right tensor of a product stands where weights do."""
    tensor: str
    """The quantized tensor the layer reads; its bits hold for all layers that read it."""
    is_tensor: bool
    """Whether the bits are those of the tensor, and not of the layer's weights."""

    def __str__(self) -> str:
        """Return whose bits these are, in words."""
        if self.is_tensor and self.kind == "weight":
            return f"the right tensor of {self.layer}"
        return f"the {self.kind}s of {self.layer}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One step of an episode: one bit-width to choose, for one part or for all that are tied."""

    parts: tuple[Part, ...]
    """In the order of `parts_of`; the first says whose turn it is."""
    menu: tuple[int, ...]
    """Widths that may be chosen, at least two, in increasing order."""

    @property
    def layer(self) -> str:
        """The layer whose turn it is."""
        return self.parts[0].layer

    @property
    def kind(self) -> DecisionKind:
        """Which of the layer's two numbers comes first."""
        return self.parts[0].kind

    def __str__(self) -> str:
        """Return what is decided, in words."""
        others = f" and what is tied to them ({len(self.parts)} widths in all)"
        return str(self.parts[0]) + (others if len(self.parts) > 1 else "")


@dataclass(frozen=True, kw_only=True)
class DecisionSpace:
    """All allocations that may be chosen; made by `decision_space`."""

    layers: tuple[LayerSpec, ...]
    bit_choices: tuple[int, ...]
    """Widths of what no rule has a menu for, and those of the uniform allocations."""
    decisions: tuple[Decision, ...]
    """In the order of an episode."""
    fixed: Mapping[Part, int]
    """Parts that are not decided, with their width."""
    rules: tuple[str, ...] = ()
    """What the user said of single layers, for records."""

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """What some decision may be, in increasing order: the actions."""
        return tuple(sorted({bits for decision in self.decisions for bits in decision.menu}))

    @cached_property
    def measured_widths(self) -> tuple[int, ...]:
        """What a device must know: every integer width that may occur, and 8 for the reference."""
        found = {*self.widths, *self.fixed.values(), INPUT_BITS}
        return tuple(sorted(found - {FLOAT_BITS}))

    @cached_property
    def float_layers(self) -> tuple[str, ...]:
        """Layers that may be, or are, left in float."""
        menus = ((name, self.menu(weight)) for name, (weight, _) in self.parts.items())
        return tuple(name for name, menu in menus if FLOAT_BITS in menu)

    @cached_property
    def step_of(self) -> Mapping[Part, int]:
        """The step that decides each part; those that are fixed are absent."""
        return {
            part: step for step, decision in enumerate(self.decisions) for part in decision.parts
        }

    @cached_property
    def parts(self) -> Mapping[str, tuple[Part | None, Part | None]]:
        """The two parts of each layer; None for the network's input, whose bits are fixed.

        Of a product of two tensors, the right tensor's and then the left one's.
        """
        return parts_by_layer(self.layers)

    def menu(self, part: Part | None) -> tuple[int, ...]:
        """Return the widths that one part may have; None stands for the network's input."""
        if part is None:
            return (INPUT_BITS,)
        if part in self.fixed:
            return (self.fixed[part],)
        return self.decisions[self.step_of[part]].menu

    def steps(self, layer: str) -> tuple[int | None, int | None]:
        """Return which steps decide a layer's weight and activation bits; None for a fixed one."""
        first, second = (
            None if part is None else self.step_of.get(part) for part in self.parts[layer]
        )
        return first, second

    def layers_of(self, decision: Decision) -> tuple[str, ...]:
        """Return the layers that a decision is about, in the network's order.

        Their weights it decides, or they read a tensor that it decides.
        """
        decided = set(decision.parts)
        return tuple(name for name, parts in self.parts.items() if not decided.isdisjoint(parts))

    def pairs(self, layer: str) -> tuple[tuple[int, int], ...]:
        """Return the (weight bits, activation bits) that a layer may have."""
        weight, activation = self.parts[layer]
        first, second = self.steps(layer)
        if (first is not None and first == second) or weight == activation:
            return tuple((bits, bits) for bits in self.menu(weight))
        return tuple((w, a) for w in self.menu(weight) for a in self.menu(activation))

    def bits_of(self, allocation: Allocation) -> tuple[int, ...]:
        """Return the bits that an episode would have to choose to end in `allocation`."""
        chosen = dict(allocation.items)
        return tuple(_bits(chosen, decision.parts[0]) for decision in self.decisions)

    def admits(self, allocation: Allocation) -> bool:
        """Whether an allocation can be chosen: every width in its menu, what is tied equal."""
        bits = self.bits_of(allocation)
        offered = all(width in d.menu for width, d in zip(bits, self.decisions, strict=True))
        return offered and self.allocation(bits) == allocation

    def uniform(self, bits: int, tensor_bits: int | None = None) -> Allocation:
        """Return the allocation with the widths nearest to `bits`, the smaller of two.

        Args:
            bits: Of weights, and of whatever is tied to some.
            tensor_bits: Of tensors; None for the same.
        """
        of_tensors = bits if tensor_bits is None else tensor_bits
        return self.nearest(
            [
                of_tensors if all(part.is_tensor for part in decision.parts) else bits
                for decision in self.decisions
            ]
        )

    def uniforms(self) -> dict[int, Allocation]:
        """Return the different uniform allocations by the width that each is nearest to.

        From many bits to few. Layers are left in float only where they have no other width.
        """
        found: dict[Allocation, int] = {}
        for bits in reversed(self.bit_choices):
            found.setdefault(self.uniform(bits), bits)
        return {bits: allocation for allocation, bits in found.items()}

    def uniform_pairs(self) -> dict[tuple[int, int], Allocation]:
        """Return the uniform allocations of each width of weights and each of activations."""
        pairs = product(self.bit_choices, self.bit_choices)
        return {(bits, of_tensors): self.uniform(bits, of_tensors) for bits, of_tensors in pairs}

    def nearest(self, bits: Sequence[int]) -> Allocation:
        """Return the allocation of each decision's width that is nearest to `bits`."""
        return self.allocation(
            [
                min(decision.menu, key=lambda choice: (abs(choice - wanted), choice))
                for wanted, decision in zip(bits, self.decisions, strict=True)
            ]
        )

    def allocation(self, bits: Sequence[int]) -> Allocation:
        """Turn the chosen bits, in the order of `decisions`, into an Allocation.

        Raises:
            ActionError: too few or too many bits for the network's decisions.
        """
        if len(bits) != len(self.decisions):
            raise ActionError(
                f"expected {len(self.decisions)} decided bit-widths, found {len(bits)}"
            )
        chosen = self.chosen(bits)
        return Allocation(
            tuple(
                (
                    layer.name,
                    bits_for(
                        layer,
                        *(INPUT_BITS if p is None else chosen[p] for p in self.parts[layer.name]),
                    ),
                )
                for layer in self.layers
            )
        )

    def chosen(self, bits: Sequence[int]) -> dict[Part, int]:
        """Return the width of each part that is fixed or decided by the first steps' bits."""
        decided = {
            part: width
            for decision, width in zip(self.decisions, bits, strict=False)
            for part in decision.parts
        }
        return {**self.fixed, **decided}

    def table(self, bits: Sequence[int] = ()) -> str:
        """Return one line for each layer as text; `-` stands for what is not decided yet.

        Args:
            bits: Decided so far, in the order of the decisions.
        """
        chosen = self.chosen(bits)
        width = max(len("layer"), *(len(layer.name) for layer in self.layers))
        lines = [f"{'layer':<{width}}  weights  activations"]
        for name, (weight, activation) in self.parts.items():
            known = (INPUT_BITS if p is None else chosen.get(p) for p in (weight, activation))
            first, second = ("-" if bits is None else width_name(bits) for bits in known)
            lines.append(f"{name:<{width}}  {first:>7}  {second:>11}")
        return "\n".join(lines)


def parts_of(layers: Sequence[LayerSpec]) -> tuple[Part, ...]:
    """List the numbers of an allocation: for each layer its weights, then the tensor it reads.

    For a product of two tensors, the right one, then the left one. A tensor that several layers
    read stands once, at the first of them, and the network's input never, because its 8 bits are
    fixed.
    """
    pairs = parts_by_layer(layers).values()
    return tuple(dict.fromkeys(part for pair in pairs for part in pair if part is not None))


def own_parts(space: DecisionSpace, layer: str, pair: tuple[int, int]) -> dict[Part, int]:
    """Return what a layer's bits lose something of: its weights, and tensors it reads first.

    Args:
        space: What may be decided.
        layer: A layer, or a product of two tensors.
        pair: Its (weight bits, activation bits).

    Returns:
        The parts with their bits; a tensor stands once, wherever it is read.
    """
    both = zip(space.parts[layer], pair, strict=True)
    return {part: bits for part, bits in both if part is not None and part.layer == layer}


def parts_by_layer(
    layers: Sequence[LayerSpec],
) -> dict[str, tuple[Part | None, Part | None]]:
    """Return the two numbers of each layer, as `DecisionSpace.parts` has them."""
    first: dict[str, Part] = {}
    for layer in layers:
        kinds: tuple[DecisionKind, ...] = ("activation", "weight")
        for tensor, kind in zip(layer.tensors, kinds, strict=False):
            part = Part(layer=layer.name, kind=kind, tensor=tensor, is_tensor=True)
            first.setdefault(tensor, part)
    return {
        layer.name: (
            Part(layer=layer.name, kind="weight", tensor=layer.tensor, is_tensor=False)
            if layer.has_weights
            else None
            if layer.right_reads_input
            else first[layer.right],
            None if layer.reads_input else first[layer.tensor],
        )
        for layer in layers
    }


def _bits(chosen: Mapping[str, LayerBits], part: Part) -> int:
    bits = chosen[part.layer]
    return bits.weight_bits if part.kind == "weight" else bits.activation_bits
