"""The decision sequence: input never, tied tensors once, and back and forth to allocations."""

import pytest

from env.decisions.decisions import allocation_of, bits_of, decision_sequence
from env.errors import ActionError
from env.testing import tied_layers
from quant.layers import INPUT_BITS


def test_order_and_ties() -> None:
    decided = [(decision.layer, decision.kind) for decision in decision_sequence(tied_layers())]
    assert decided == [
        ("stem", "weight"),
        ("first", "weight"),
        ("first", "activation"),
        ("second", "weight"),
        ("second", "activation"),
        ("down", "weight"),
        ("head", "weight"),
        ("head", "activation"),
    ]


def test_allocation_round_trip() -> None:
    layers = tied_layers()
    bits = (2, 3, 4, 5, 6, 7, 8, 2)
    allocation = allocation_of(layers, bits)
    allocation.check(layers)
    assert allocation["stem"].activation_bits == INPUT_BITS
    assert allocation["first"].activation_bits == allocation["down"].activation_bits == 4
    assert bits_of(decision_sequence(layers), allocation) == bits


def test_wrong_number_of_bits() -> None:
    with pytest.raises(ActionError, match="expected 8 decided bit-widths, found 2"):
        allocation_of(tied_layers(), (2, 3))
