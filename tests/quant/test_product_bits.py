"""Bits of products of two tensors: their form, what they are tied to, and allocations of before."""

from typing import Any

import pytest

from env.testing import attention_layers, product_layer
from quant.allocation import Allocation, LayerBits, ProductBits, bits_for
from quant.errors import AllocationError
from quant.layers import FLOAT_BITS, LayerSpec
from quant.records.json_form import from_plain, to_plain

LAYERS = attention_layers()
ALL_8 = Allocation.uniform(LAYERS, 8)


def changed(**bits: LayerBits) -> Allocation:
    """Return all-8 with other bits; `_2` stands for the second product."""
    names = {"matmul": "attn.matmul", "matmul_2": "attn.matmul#2"}
    other = {names.get(name, name): pair for name, pair in bits.items()}
    return Allocation.of({**dict(ALL_8.items), **other})


def test_a_product_has_a_form_of_its_own() -> None:
    document = ALL_8.to_dict()
    assert document["layers"]["attn.matmul"] == {"right_bits": 8, "left_bits": 8}
    assert document["layers"]["qkv"] == {"weight_bits": 8, "activation_bits": 8}
    assert Allocation.from_dict(document) == ALL_8


def test_both_tensors_of_a_product_are_tied_to_their_other_readers() -> None:
    four, both = ProductBits(weight_bits=4, activation_bits=4), {"weight_bits": 4}
    changed(matmul=four, matmul_2=ProductBits(**both, activation_bits=6)).check(LAYERS)
    with pytest.raises(AllocationError, match=r"and attn[.]matmul#2 read the same tensor"):
        changed(matmul=four).check(LAYERS)
    with pytest.raises(AllocationError, match=r"matmul and attn[.]matmul read the same tensor"):
        changed(matmul=ProductBits(weight_bits=4, activation_bits=8)).check(LAYERS)


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        ({"matmul": LayerBits(weight_bits=8, activation_bits=8)}, "is a product of two tensors"),
        ({"qkv": ProductBits(weight_bits=8, activation_bits=8)}, "is a layer with weight_bits"),
    ],
)
def test_a_layer_is_no_product(bits: dict[str, LayerBits], words: str) -> None:
    with pytest.raises(AllocationError, match=words):
        changed(**bits).check(LAYERS)


def test_a_product_is_never_in_float() -> None:
    with pytest.raises(AllocationError, match="no weights to be left in float"):
        ProductBits(weight_bits=FLOAT_BITS, activation_bits=8)


def test_a_product_of_the_networks_input_keeps_its_eight_bits() -> None:
    layer = LayerSpec(**{**_fields(product_layer("gram", "input", "input")), **_READS_INPUT})
    assert layer.bit_pairs((2, 4)) == ((8, 8),)
    assert Allocation.uniform([layer], 2)["gram"] == bits_for(layer, 8, 8)
    with pytest.raises(AllocationError, match="right_bits are fixed at 8, found 2"):
        Allocation.of({"gram": ProductBits(weight_bits=2, activation_bits=8)}).check([layer])


_READS_INPUT = {"reads_input": True, "right_reads_input": True}


def _fields(layer: LayerSpec) -> dict[str, Any]:
    return {name: getattr(layer, name) for name in LayerSpec.__dataclass_fields__}


def test_allocations_of_before_products_had_bits_are_read_as_they_were_run() -> None:
    old = Allocation.of({name: b for name, b in ALL_8.items if not isinstance(b, ProductBits)})
    assert old.with_products(LAYERS) == ALL_8
    layers = (*LAYERS[:2], product_layer("matmul", "normed", "mixed"), LAYERS[-1])
    narrow = {name: LayerBits(weight_bits=4, activation_bits=3) for name in ("qkv", "head")}
    found = Allocation.of({"stem": ALL_8["stem"], **narrow}).with_products(layers)
    assert found["matmul"] == ProductBits(weight_bits=3, activation_bits=3)
    assert [name for name, _ in found.items] == ["stem", "qkv", "matmul", "head"]
    assert ALL_8.with_products(LAYERS) is ALL_8


def test_layers_are_written_as_they_were_and_products_with_their_right_tensor() -> None:
    assert "right" not in to_plain(LAYERS[1])
    assert to_plain(LAYERS[3])["right"] == "qkv"
    for layer in LAYERS:
        assert from_plain(LayerSpec, to_plain(layer)) == layer
