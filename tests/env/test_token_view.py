"""Tokens: the same numbers and the same actions for every network, and legal ones alone."""

from typing import Any

import numpy as np
import pytest

from env.bit_allocation import BitAllocationEnv
from env.decisions.budget import Budget
from env.decisions.layer_rules import parse_rules
from env.decisions.space import decision_space
from env.errors import ActionError, TaskError
from env.sensitivity.sensitivities import no_sensitivities
from env.testing import FormulaEvaluator, formula_sensitivities, formula_table, tied_layers
from env.token_observer import JOINT, STATE, TOKEN, WHOLE, WIDTHS, TokenObserver
from env.token_view import TokenView, table_view
from quant.allocation import Allocation

LAYERS = tied_layers()
TABLE = formula_table(LAYERS)
RISES = formula_sensitivities(LAYERS)


def view(
    *,
    length: int = 0,
    menu: tuple[int, ...] = (2, 4, 8),
    rules: tuple[str, ...] = (),
    known: bool = True,
) -> TokenView:
    space = decision_space(LAYERS, menu, parse_rules(rules))
    rises = RISES if known else no_sensitivities(space)
    evaluator = FormulaEvaluator(space, TABLE, rises, practice=True)
    all_8 = Allocation.uniform(LAYERS, 8)
    env = BitAllocationEnv(
        space=space,
        budget=Budget(latency_ms=0.7 * TABLE.predict_ms(all_8)),
        evaluator=evaluator,
        table=TABLE,
        sensitivities=rises,
        reference=evaluator.evaluate([all_8])[0],
    )
    return TokenView(env, length=length)


def test_an_episode_has_legal_actions_and_numbers_in_their_range() -> None:
    found, rng = view(length=20), np.random.default_rng(0)
    seen, _ = found.reset()
    assert found.network.observer is found.tokens
    numbers = seen["tokens"].shape[1] + len(seen["whole"]) + seen["joint"].shape[0]
    assert len(found.tokens.names) == numbers
    for step in range(len(found.network.decisions)):
        assert found.observation_space.contains(seen)
        tokens = seen["tokens"]
        assert tokens[:, STATE.index("is_current")].nonzero()[0].tolist() == [step]
        assert tokens[:, STATE.index("is_decided")].sum() == step
        legal = np.flatnonzero(found.action_masks())
        assert {WIDTHS[action] for action in legal} <= {2, 4, 8}
        seen, _, over, _, info = found.step(np.int64(rng.choice(legal)))
    assert over
    assert found.network.budget.admits(info["evaluation"])
    assert not tokens[len(found.network.decisions) :].any(), "padding is nothing at all"


def test_an_action_outside_the_menu_is_refused() -> None:
    found = view()
    found.reset()
    with pytest.raises(ActionError, match="expected one of"):
        found.step(np.int64(WIDTHS.index(5)))


def test_what_is_shown_changes_the_losses_and_nothing_else() -> None:
    found = view()
    before = found.reset()[0]["tokens"]
    count = len(found.network.decisions)
    responses = np.linspace(1.0, 0.0, 3 * count).reshape(count, 3)
    found.show(responses)
    after = found.reset()[0]["tokens"]
    changed = {TOKEN[column] for column in np.flatnonzero((before != after).any(0))}
    assert changed <= {f"loss_{bits}" for bits in (2, 4, 8)}
    found.show(10.0 * responses)  # only shares count
    assert np.allclose(found.reset()[0]["tokens"], after)


def test_where_nothing_loses_anything_all_losses_are_nothing() -> None:
    found = view(known=False)
    seen: Any = found.network.reset()[0]
    assert all(np.isfinite(numbers).all() for numbers in seen.values())
    count = len(found.network.decisions)
    for losses in (np.zeros((count, 3)), np.full((count, 3), np.nan), np.full((count, 3), -1.0)):
        found.show(losses)
        tokens = found.reset()[0]["tokens"]
        assert not tokens[:, [TOKEN.index(f"loss_{bits}") for bits in WIDTHS]].any()
        assert np.isfinite(tokens).all()
    alone = table_view(found.network.space, TABLE, found.network.budget)
    seen, _ = alone.reset()
    assert np.array_equal(seen["tokens"], tokens)


def test_a_saving_is_of_what_is_decided_together() -> None:
    one, paired = (view(rules=rules).tokens for rules in ((), ("first paired",)))
    column = TOKEN.index("saving_2")
    saved = {
        observer: observer.observe([], (1, 1, 1), (1, 1, 1))["tokens"][:, column].max()
        for observer in (one, paired)
    }
    assert saved[paired] >= saved[one] > 0
    now = WHOLE.index("saving_now_8")
    assert one.observe([], (1, 1, 1), (1, 1, 1))["whole"][now] == 0.0


def test_what_widths_save_together_and_what_the_partner_loses() -> None:
    """Of weights the partner is the tensor that they meet, until it is decided."""
    found = view()
    space = found.network.space
    step = len(space.decisions) - 2  # the last weights, and then the tensor that they alone meet
    assert [one.kind for one in space.decisions[step:]] == ["weight", "activation"]
    responses = np.zeros((len(space.decisions), len(space.widths)))
    responses[step + 1] = 3.0, 1.0, 0.0  # at 2, 4 and 8 bits
    found.show(responses)
    found.reset()
    for _ in range(step):
        seen = found.step(np.int64(WIDTHS.index(2)))[0]
    times = TABLE.times_us[space.decisions[step].layer]
    joint = dict(zip(JOINT, seen["joint"], strict=True))
    two, eight = (joint[f"joint_saving_{bits}"] for bits in (2, 8))
    at = {bits: WIDTHS.index(bits) for bits in (2, 4, 8)}
    gained = times[8, 2] - times[2, 4]
    assert two[at[4]] - eight[at[2]] == pytest.approx(
        gained / (times[8, 8] - times[2, 2]) * two[at[2]]
    )
    assert not joint["joint_saving_3"].any(), "3 bits are not offered"
    assert joint["partner_loss"][[at[2], at[4], at[8]]] == pytest.approx([1.0, 1 / 3, 0.0])
    assert two[WIDTHS.index(3)] == two[at[2]], "the nearest width that the partner may have"

    seen = found.step(np.int64(at[2]))[0]
    joint = dict(zip(JOINT, seen["joint"], strict=True))
    assert not joint["partner_loss"].any(), "its weights are decided"
    assert np.ptp(joint["joint_saving_8"]) == 0.0
    assert joint["joint_saving_2"][0] > joint["joint_saving_8"][0]


def test_a_fork_goes_its_own_way() -> None:
    found = view()
    found.reset()
    twin = found.fork()
    seen, _ = twin.reset()
    twin.step(np.int64(np.flatnonzero(twin.action_masks())[0]))
    assert np.array_equal(found.reset()[0]["tokens"], seen["tokens"])
    assert found.step(np.int64(np.flatnonzero(found.action_masks())[-1]))[2] is False


def test_float_weights_and_too_many_decisions_are_refused() -> None:
    with pytest.raises(TaskError, match="expected widths of 2 to 8 bits to be decided"):
        view(rules=("head=8,float/8",))
    with pytest.raises(TaskError, match="expected at most 3 decisions"):
        TokenObserver(decision_space(LAYERS, (2, 8)), TABLE, length=3)
