"""The space of decisions: its order, ties and rules, and back and forth to allocations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from env.decisions.decisions import DecisionSpace
from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from env.errors import ActionError, LayerRuleError
from env.testing import random_rules, tied_layers
from quant.allocation import Allocation
from quant.layers import FLOAT_BITS, INPUT_BITS
from quant.testing import random_allocation
from tests.agents.instances import random_layers

CHOICES = (2, 4, 6)
WHOLE = decision_space(tied_layers(), CHOICES)


def space(*rules: str) -> DecisionSpace:
    return decision_space(tied_layers(), CHOICES, parse_rules(rules))


def decided(*rules: str) -> dict[str, tuple[int, ...]]:
    """Return each decision's menu by `layer kind` of its parts."""
    return {
        " + ".join(f"{part.layer} {part.kind}" for part in decision.parts): decision.menu
        for decision in space(*rules).decisions
    }


def test_order_and_ties() -> None:
    assert [(decision.layer, decision.kind) for decision in WHOLE.decisions] == [
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
    whole = decision_space(tied_layers(), range(2, 9))
    bits = (2, 3, 4, 5, 6, 7, 8, 2)
    allocation = whole.allocation(bits)
    allocation.check(whole.layers)
    assert allocation["stem"].activation_bits == INPUT_BITS
    assert allocation["first"].activation_bits == allocation["down"].activation_bits == 4
    assert whole.bits_of(allocation) == bits


def test_wrong_number_of_bits() -> None:
    with pytest.raises(ActionError, match="expected 8 decided bit-widths, found 2"):
        WHOLE.allocation((2, 3))


def test_a_pin_is_no_decision_and_a_menu_is_one_of_its_own() -> None:
    found = decided("stem=8/8", "head=4,8/8", "second=*/3,5")
    assert "stem weight" not in found
    assert "head activation" not in found
    assert found["head weight"] == (4, 8)
    assert (found["second weight"], found["second activation"]) == (CHOICES, (3, 5))
    assert found["first weight"] == CHOICES
    pinned = space("stem=8/8", "head=4,8/8")
    assert pinned.widths == (2, 4, 6, 8)
    assert pinned.uniform(2)["stem"].weight_bits == 8
    assert pinned.uniform(2)["head"].weight_bits == 4
    assert pinned.uniform(2)["second"].weight_bits == 2


def test_one_decision_for_a_block_or_for_its_weights_and_for_what_it_reads() -> None:
    block = "first weight + first activation + second weight + second activation + down weight"
    assert decided("first+second+down=2,4 tied")[block] == (2, 4)
    apart = decided("first+second+down=2,4/6,8 tied")
    assert apart["first weight + second weight + down weight"] == (2, 4)
    assert apart["first activation + second activation"] == (6, 8)
    one = decided("* tied")
    assert list(one.values()) == [CHOICES]


def test_weights_and_activations_of_each_layer_together() -> None:
    found = decided("* paired")
    assert found == {
        "stem weight": CHOICES,  # the network's input has its 8 bits
        "first weight + first activation + down weight": CHOICES,  # they read one tensor
        "second weight + second activation": CHOICES,
        "head weight + head activation": CHOICES,
    }


def test_all_rules_for_a_layer_hold_in_any_order() -> None:
    rules = ("*=2,4,8", "head=4,8/*", "h*=8,3/*")
    assert decided(*rules) == decided(*reversed(rules))
    assert space(*rules).uniform(2)["head"].weight_bits == 8
    assert decided("first+second=*/* tied", "second=4/*")["first activation + second activation"]
    assert "first weight" not in " ".join(decided("first+second=*/* tied", "second=4/*"))


def test_a_layer_in_float_is_a_width_of_its_weights() -> None:
    assert decided("head=8,float")["head weight"] == (8, FLOAT_BITS)
    kept = space("head=float")
    assert kept.allocation(kept.bits_of(kept.uniform(2)))["head"].weight_bits == FLOAT_BITS
    assert "float" in kept.table()
    assert FLOAT_BITS not in kept.measured_widths


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (["haed=8"], r"matches a layer, found 'haed' in 'haed=8'.*nearest layers are head"),
        (["stem+block.*=8"], r"found 'block\.\*'.*nearest layers are"),
        (["head=4", "he*=8/8"], "weights of head, found 'head=4' and 'he[*]=8/8'.*contradict"),
        (["first=2", "down=*/8"], "activations of first, found 'first=2' and 'down=[*]/8'"),
        (
            ["head=4/*", "stem=8", "head+stem=*/* tied"],
            "'stem=8' and 'head=4/[*]' and 'head",
        ),
        (["head=9"], r"from 2 to 8, float or \*, found '9' in 'head=9'"),
        (["head=32"], "found '32'"),
        (["head=4,"], "found ''"),
        (["stem=8/4"], "8 bits of activations for stem, which reads the network's input"),
        (["head=4/float"], "activations from 2 to 8, found float"),
        (["head=4,float paired"], "weights and activations can both have, found float"),
        (["head"], "expected PATTERN=WIDTHS"),
        (["head=4 joined"], "expected PATTERN=WIDTHS"),
        (["=8"], "expected PATTERN=WIDTHS"),
        (["+head=8"], "both sides of [+]"),
        (["*=4"], "a choice of widths, found none"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(rules: list[str], words: str) -> None:
    with pytest.raises(LayerRuleError, match=words) as caught:
        space(*rules)
    assert "\n" not in str(caught.value)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_what_is_admitted_is_what_the_rules_leave(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers = random_layers(rng)
    rules = random_rules(layers, CHOICES, rng)
    found = decision_space(layers, CHOICES, rules)
    for allocation in (
        found.allocation([int(rng.choice(decision.menu)) for decision in found.decisions]),
        found.uniform(int(rng.integers(2, 9))),
        *found.uniforms().values(),
    ):
        allocation.check(layers)
        assert found.admits(allocation)
        assert found.allocation(found.bits_of(allocation)) == allocation
        for layer in layers:
            bits = allocation[layer.name]
            assert (bits.weight_bits, bits.activation_bits) in found.pairs(layer.name)
            for rule in rules:
                if layer.name in rule.matching([other.name for other in layers]):
                    assert rule.weights is None or bits.weight_bits in rule.weights
                    free = rule.activations is None or layer.reads_input
                    assert free or bits.activation_bits in rule.activations  # type: ignore[operator]
                    if rule.tie == "paired" and not layer.reads_input:
                        assert bits.weight_bits == bits.activation_bits
    other = random_allocation(layers, rng)
    nearest = found.allocation(found.bits_of(found.nearest(found.bits_of(other))))
    assert found.admits(other) == (nearest == other)
    assert found.admits(Allocation.uniform(layers, 8)) == (
        found.uniform(8) == Allocation.uniform(layers, 8)
    )
