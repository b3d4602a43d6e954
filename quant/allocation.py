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

    @property
    def of_tensors(self) -> tuple[int, ...]:
        """The bits of what is read: of one tensor, or of both of a product."""
        return (self.activation_bits,)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProductBits(LayerBits):
    """The two bit-widths of a product of two computed tensors, which has no weights.

    Those of its right tensor stand where a layer has those of its weights, those of its left one
    where a layer has those of what it reads.
    """

    def __post_init__(self) -> None:
        """Refuse widths outside 2..8.

        Raises:
            AllocationError: a width is not an integer from 2 to 8.
        """
        LayerBits.__post_init__(self)
        if self.weight_bits == FLOAT_BITS:
            raise AllocationError("a product of two tensors has no weights to be left in float")

    @property
    def of_tensors(self) -> tuple[int, ...]:
        """The bits of both tensors, the left one's first."""
        return (self.activation_bits, self.weight_bits)


def bits_for(layer: LayerSpec, weight_bits: int, activation_bits: int) -> LayerBits:
    """Return two widths as a layer's, or as those of a product's right and left tensors."""
    kind = LayerBits if layer.has_weights else ProductBits
    return kind(weight_bits=weight_bits, activation_bits=activation_bits)


@dataclass(frozen=True, slots=True)
class Allocation:
    """The bits of every layer and product of one network, in order. Hashable and immutable."""

    items: tuple[tuple[str, LayerBits], ...]

    __get_pydantic_core_schema__ = staticmethod(own_form)

    @classmethod
    def of(cls, bits: Mapping[str, LayerBits]) -> "Allocation":
        """Build an allocation from a `{layer name: LayerBits}` mapping, keeping its order."""
        return cls(tuple(bits.items()))

    @classmethod
    def uniform(
        cls, layers: Iterable[LayerSpec], bits: int, activation_bits: int | None = None
    ) -> "Allocation":
        """Give every layer the same bits; the network's input keeps its fixed 8.

        Args:
            layers: Of the network.
            bits: Of weights, and of activations too if they have no others.
            activation_bits: Of activations; None for `bits`.
        """
        activation = bits if activation_bits is None else activation_bits
        return cls(
            tuple(
                (
                    layer.name,
                    bits_for(
                        layer,
                        INPUT_BITS if layer.right_reads_input else bits,
                        INPUT_BITS if layer.reads_input else activation,
                    ),
                )
                for layer in layers
            )
        )

    def with_products(self, layers: Iterable[LayerSpec]) -> "Allocation":
        """Return an allocation of before products had bits of their own, with those they had.

        A tensor that a product reads had the bits of the layer that reads it as well, or 8. What
        has bits for its products stays as it is.
        """
        known, layers = dict(self.items), tuple(layers)
        widths = {
            layer.tensor: known[layer.name].activation_bits
            for layer in layers
            if layer.has_weights and layer.name in known
        }
        missing = {
            layer.name: bits_for(
                layer,
                widths.get(layer.right, INPUT_BITS),
                widths.get(layer.tensor, INPUT_BITS),
            )
            for layer in layers
            if not layer.has_weights and layer.name not in known
        }
        if not missing:
            return self
        found = known | missing
        order = [layer.name for layer in layers if layer.name in found]
        return Allocation.of({name: found[name] for name in dict.fromkeys([*order, *found])})

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

    @property
    def products(self) -> tuple[str, ...]:
        """The products of two tensors."""
        return tuple(name for name, bits in self.items if isinstance(bits, ProductBits))

    def mean_bits(self) -> tuple[float, float]:
        """Return the unweighted mean of weight bits and of activation bits over layers.

        The weights of a layer in float count as the 32 bits that they take. Products have no
        weights, and two tensors.
        """
        weights = [b.weight_bits for _, b in self.items if not isinstance(b, ProductBits)]
        tensors = [width for _, bits in self.items for width in bits.of_tensors]
        return sum(weights) / max(1, len(weights)), sum(tensors) / max(1, len(tensors))

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
            found = self[layer.name]
            _check_layer(layer, found, bit_choices)
            for tensor, width in zip(layer.tensors, found.of_tensors, strict=True):
                first, bits = tensor_bits.setdefault(tensor, (layer.name, width))
                if bits != width:
                    raise AllocationError(
                        f"{first} and {layer.name} read the same tensor and need equal "
                        f"activation_bits, found {bits} and {width}"
                    )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document: schema version and a plain map of layers."""
        return {
            "schema": ALLOCATION_SCHEMA,
            "layers": {name: _document(bits) for name, bits in self.items},
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
        items: list[tuple[str, LayerBits]] = []
        for name, entry in document["layers"].items():
            if isinstance(entry, dict) and set(entry) == {"right_bits", "left_bits"}:
                right, left = entry["right_bits"], entry["left_bits"]
                items.append((name, ProductBits(weight_bits=right, activation_bits=left)))
                continue
            if not isinstance(entry, dict) or set(entry) != {"weight_bits", "activation_bits"}:
                raise AllocationError(
                    f"layer {name!r}: expected weight_bits and activation_bits, found {entry!r}"
                )
            items.append((name, LayerBits(**entry)))
        return cls(tuple(items))


def _document(bits: LayerBits) -> dict[str, int]:
    if isinstance(bits, ProductBits):
        return {"right_bits": bits.weight_bits, "left_bits": bits.activation_bits}
    return asdict(bits)


def _check_layer(layer: LayerSpec, bits: LayerBits, bit_choices: Sequence[int] | None) -> None:
    if layer.reads_input and bits.activation_bits != INPUT_BITS:
        raise AllocationError(
            f"{layer.name} reads the network's input, whose activation_bits are fixed at "
            f"{INPUT_BITS}, found {bits.activation_bits}"
        )
    if layer.right_reads_input and bits.weight_bits != INPUT_BITS:
        raise AllocationError(
            f"{layer.name} multiplies the network's input, whose right_bits are fixed at "
            f"{INPUT_BITS}, found {bits.weight_bits}"
        )
    if isinstance(bits, ProductBits) == layer.has_weights:
        raise AllocationError(
            f"{layer.name} is a layer with weight_bits and activation_bits, found a product's"
            if layer.has_weights
            else f"{layer.name} is a product of two tensors with right_bits and left_bits, found "
            "a layer's"
        )
    if bit_choices is None:
        return
    chosen = [] if layer.right_reads_input else [bits.weight_bits]
    chosen += [] if layer.reads_input else [bits.activation_bits]
    for width in chosen:
        if width not in bit_choices:
            raise AllocationError(
                f"{layer.name}: {width} bits is not among the bit choices {list(bit_choices)}"
            )
