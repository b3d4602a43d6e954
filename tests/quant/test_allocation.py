import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant.allocation import Allocation, LayerBits
from quant.errors import AllocationError
from quant.layers import LayerSpec
from quant.testing import random_allocation


def layer(name: str, tensor: str, *, reads_input: bool = False) -> LayerSpec:
    return LayerSpec(
        name=name,
        kind="linear",
        in_channels=3,
        out_channels=4,
        input_shape=(3,),
        output_shape=(4,),
        tensor=tensor,
        reads_input=reads_input,
        macs=12,
        parameters=16,
    )


LAYERS = (
    layer("first", "x", reads_input=True),
    layer("block.conv1", "a"),
    layer("block.shortcut", "a"),
    layer("last", "b"),
)


def changed(name: str, **bits: int) -> Allocation:
    items = dict(Allocation.uniform(LAYERS, 4).items)
    items[name] = LayerBits(
        weight_bits=bits.get("weight_bits", 4), activation_bits=bits.get("activation_bits", 4)
    )
    return Allocation.of(items)


@given(seed=st.integers(0, 2**32 - 1))
def test_json_gives_back_the_same_allocation(seed: int) -> None:
    allocation = random_allocation(LAYERS, np.random.default_rng(seed))
    again = Allocation.from_dict(json.loads(json.dumps(allocation.to_dict())))
    assert again == allocation
    assert hash(again) == hash(allocation)
    assert allocation.to_dict()["schema"] == 1


@given(seed=st.integers(0, 2**32 - 1))
def test_random_allocations_fit_their_network(seed: int) -> None:
    random_allocation(LAYERS, np.random.default_rng(seed), (2, 4, 8)).check(LAYERS, (2, 4, 8))


def test_uniform_keeps_the_fixed_input() -> None:
    allocation = Allocation.uniform(LAYERS, 4)
    assert allocation["first"] == LayerBits(weight_bits=4, activation_bits=8)
    assert allocation["last"] == LayerBits(weight_bits=4, activation_bits=4)
    assert allocation.mean_bits() == (4.0, 5.0)
    assert len(allocation) == 4
    allocation.check(LAYERS, (4,))  # the input's 8 bits are no choice and need not be among them


@pytest.mark.parametrize("bits", [1, 9, 0, -4, 4.0, "4", True, None])
def test_bits_outside_two_to_eight_are_refused(bits: object) -> None:
    with pytest.raises(AllocationError, match="weight_bits must be"):
        LayerBits(weight_bits=bits, activation_bits=4)  # type: ignore[arg-type]
    with pytest.raises(AllocationError, match="activation_bits must be"):
        LayerBits(weight_bits=4, activation_bits=bits)  # type: ignore[arg-type]


def test_an_unknown_layer_is_named_with_those_there_are() -> None:
    with pytest.raises(AllocationError, match=r"no layer 'head'.*block\.conv1"):
        Allocation.uniform(LAYERS, 4)["head"]
    with pytest.raises(AllocationError, match=r"no layer 'head'.*block\.conv1"):
        Allocation.uniform((*LAYERS, layer("head", "c")), 4).check(LAYERS)


def test_missing_layers_are_named() -> None:
    with pytest.raises(AllocationError, match=r"leaves out block\.shortcut, last"):
        Allocation.uniform(LAYERS[:2], 4).check(LAYERS)


def test_a_layer_named_twice_is_refused() -> None:
    twice = Allocation(Allocation.uniform(LAYERS, 4).items + Allocation.uniform(LAYERS, 8).items)
    with pytest.raises(AllocationError, match="twice"):
        twice.check(LAYERS)


def test_tied_layers_need_equal_activation_bits() -> None:
    with pytest.raises(AllocationError, match=r"block\.conv1 and block\.shortcut read the same"):
        changed("block.shortcut", activation_bits=6).check(LAYERS)


def test_the_input_stays_at_eight_bits() -> None:
    with pytest.raises(AllocationError, match=r"first reads the network's input.*found 4"):
        changed("first", activation_bits=4).check(LAYERS)


@pytest.mark.parametrize("kind", ["weight_bits", "activation_bits"])
def test_bits_must_be_among_the_choices(kind: str) -> None:
    allocation = changed("last", **{kind: 5})
    allocation.check(LAYERS)
    with pytest.raises(AllocationError, match=r"last: 5 bits.*\[2, 4, 8\]"):
        allocation.check(LAYERS, (2, 4, 8))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "expected"),
        ('{"schema": 1}', "expected"),
        ('{"schema": 2, "layers": {}}', "schema 1, found 2"),
        ('{"schema": 1, "layers": {"a": {"weight_bits": 4}}}', "layer 'a'"),
        ('{"schema": 1, "layers": {"a": [4, 4]}}', "layer 'a'"),
        ('{"schema": 1, "layers": {"a": {"weight_bits": 9, "activation_bits": 4}}}', "found 9"),
    ],
)
def test_other_documents_are_refused(text: str, words: str) -> None:
    with pytest.raises(AllocationError, match=words):
        Allocation.from_dict(json.loads(text))
