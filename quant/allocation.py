"""LayerBits and Allocation: the bit-widths of one candidate, and their JSON form."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from quant.errors import AllocationError
from quant.layers import FLOAT_BITS, INPUT_BITS, MAX_BITS, MIN_BITS, LayerSpec, width_name
from quant.records.json_form import own_form

ALLOCATION_SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerBits:
    """The two bit-widths of one layer: its weights and the tensor it reads."""

    weight_bits: int
    """2 to 8, or `FLOAT_BITS` for a layer that is computed in float32 and learns nothing."""
    activation_bits: int

    def __post_init__(self) -> None:
        """Refuse widths outside 2..8, but for weights in float.

        Raises:
            AllocationError: a width is not an integer from 2 to 8, or weights' `FLOAT_BITS`.
        """
        for name in ("weight_bits", "activation_bits"):
            bits = getattr(self, name)
            if not isinstance(bits, int) or isinstance(bits, bool):
                raise AllocationError(f"{name} must be an integer, found {bits!r}")
            if name == "weight_bits" and bits == FLOAT_BITS:
                continue
            if not MIN_BITS <= bits <= MAX_BITS:
                raise AllocationError(f"{name} must be {MIN_BITS} to {MAX_BITS}, found {bits}")

    def __str__(self) -> str:
        """Return `4/8`, or `float/8`."""
        return f"{width_name(self.weight_bits)}/{self.activation_bits}"


@dataclass(frozen=True, slots=True)
class Allocation:
    """The bits of every layer of one network, in layer order. Hashable and immutable."""

    items: tuple[tuple[str, LayerBits], ...]

    __get_pydantic_core_schema__ = staticmethod(own_form)

    @classmethod
    def of(cls, bits: Mapping[str, LayerBits]) -> "Allocation":
        """Build an allocation from a `{layer name: LayerBits}` mapping, keeping its order."""
        return cls(tuple(bits.items()))

    @classmethod
    def uniform(cls, layers: Iterable[LayerSpec], bits: int) -> "Allocation":
        """Give every layer the same bits; the network's input keeps its fixed 8."""
        return cls(
            tuple(
                (
                    layer.name,
                    LayerBits(
                        weight_bits=bits,
                        activation_bits=INPUT_BITS if layer.reads_input else bits,
                    ),
                )
                for layer in layers
            )
        )

    def __getitem__(self, layer: str) -> LayerBits:
        """Return the bits of one layer.

        Raises:
            AllocationError: the allocation has no such layer.
        """
        for name, bits in self.items:
            if name == layer:
                return bits
        known = ", ".join(name for name, _ in self.items)
        raise AllocationError(f"the allocation has no layer {layer!r}; it has {known}")

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.items)

    @property
    def in_float(self) -> tuple[str, ...]:
        """The layers that are left in float."""
        return tuple(name for name, bits in self.items if bits.weight_bits == FLOAT_BITS)

    def mean_bits(self) -> tuple[float, float]:
        """Return the unweighted mean of weight bits and of activation bits over layers.

        The weights of a layer in float count as the 32 bits that they take.
        """
        count = max(1, len(self.items))
        return (
            sum(bits.weight_bits for _, bits in self.items) / count,
            sum(bits.activation_bits for _, bits in self.items) / count,
        )

    def check(self, layers: Sequence[LayerSpec], bit_choices: Sequence[int] | None = None) -> None:
        """Refuse an allocation that does not fit the network.

        Args:
            layers: The network's layers.
            bit_choices: The widths that may be chosen; None allows every width from 2 to 8.

        Raises:
            AllocationError: unknown or missing layers, bits outside the choices, the input not
                at 8 bits, or tied layers with different activation bits.
        """
        names = [name for name, _ in self.items]
        expected = {layer.name for layer in layers}
        if len(set(names)) != len(names):
            raise AllocationError("the allocation names a layer twice")
        if unknown := [name for name in names if name not in expected]:
            raise AllocationError(
                f"the network has no layer {unknown[0]!r}", f"it has {', '.join(sorted(expected))}"
            )
        if missing := expected - set(names):
            raise AllocationError(f"the allocation leaves out {', '.join(sorted(missing))}")
        tensor_bits: dict[str, tuple[str, int]] = {}
        for layer in layers:
            _check_layer(layer, self[layer.name], bit_choices)
            first, bits = tensor_bits.setdefault(
                layer.tensor, (layer.name, self[layer.name].activation_bits)
            )
            if bits != self[layer.name].activation_bits:
                raise AllocationError(
                    f"{first} and {layer.name} read the same tensor and need equal "
                    f"activation_bits, found {bits} and {self[layer.name].activation_bits}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document: schema version and a plain map of layers."""
        return {
            "schema": ALLOCATION_SCHEMA,
            "layers": {name: asdict(bits) for name, bits in self.items},
        }

    @classmethod
    def from_dict(cls, document: object) -> "Allocation":
        """Read a document written by `to_dict`.

        Raises:
            AllocationError: not such a document, or written by a newer version.
        """
        if not isinstance(document, dict) or not isinstance(document.get("layers"), dict):
            raise AllocationError('expected {"schema": 1, "layers": {...}}')
        if document.get("schema") != ALLOCATION_SCHEMA:
            raise AllocationError(
                f"expected allocation schema {ALLOCATION_SCHEMA}, found {document.get('schema')!r}"
            )
        items = []
        for name, entry in document["layers"].items():
            if not isinstance(entry, dict) or set(entry) != {"weight_bits", "activation_bits"}:
                raise AllocationError(
                    f"layer {name!r}: expected weight_bits and activation_bits, found {entry!r}"
                )
            items.append((name, LayerBits(**entry)))
        return cls(tuple(items))


def _check_layer(layer: LayerSpec, bits: LayerBits, bit_choices: Sequence[int] | None) -> None:
    if layer.reads_input and bits.activation_bits != INPUT_BITS:
        raise AllocationError(
            f"{layer.name} reads the network's input, whose activation_bits are fixed at "
            f"{INPUT_BITS}, found {bits.activation_bits}"
        )
    if bit_choices is None:
        return
    chosen = [bits.weight_bits] if layer.reads_input else [bits.weight_bits, bits.activation_bits]
    for width in chosen:
        if width not in bit_choices:
            raise AllocationError(
                f"{layer.name}: {width} bits is not among the bit choices {list(bit_choices)}"
            )
