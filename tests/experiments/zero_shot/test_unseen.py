"""What is said of networks that nobody searched: inside every budget, and no surer than it is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.helper import make_node

from env.decisions.budget import BudgetConfig
from env.testing import attention_layers
from experiments.allocate import command as allocate_module
from experiments.allocate.answer import answer
from experiments.errors import ConfigError
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from experiments.zero_shot.familiar import familiar
from experiments.zero_shot.network_facts import NetworkFacts, facts_from
from experiments.zero_shot.onnx_facts import facts_of_onnx
from experiments.zero_shot.unseen import believe_unseen, policy_version
from quant.errors import BitAllocError
from quant.records.json_form import json_text, to_plain
from tests.env.tasks.onnx_network.agreement import write
from tools.train_policy.networks import draw_space, draw_times

_RNG = np.random.default_rng(5)
_LAYERS = draw_space(_RNG).layers
_FACTS = NetworkFacts(layers=_LAYERS, table=draw_times(_LAYERS, _RNG))


@pytest.mark.parametrize("limit", ["latency_ratio", "model_bytes_ratio"])
@pytest.mark.parametrize("facts", [_FACTS, replace(_FACTS, table=None)], ids=["timed", "formula"])
def test_an_answer_is_inside_its_budget_and_more_of_it_is_no_worse(
    facts: NetworkFacts, limit: str
) -> None:
    unseen = believe_unseen(facts)
    beliefs = unseen.beliefs
    losses = []
    for share in (0.75, 0.9):
        budget: Any = {limit: share}
        found = answer(beliefs, BudgetConfig(**budget))
        assert found.predicted
        if limit == "latency_ratio":
            assert found.latency_ms <= share * beliefs.latency_ms(beliefs.all_8) * 1.000001
        else:
            assert found.model_bytes <= share * beliefs.model_bytes(beliefs.all_8)
        losses.append(float(beliefs.losses([found.allocation])[0]))
    assert losses[0] >= losses[1] > 0
    assert ("formula" in unseen.times) == (facts.table is None)


def test_fewer_bits_are_believed_to_lose_more() -> None:
    table = believe_unseen(_FACTS).beliefs.mean_table
    assert (np.diff(table, axis=1) < 0).all()
    assert (table[:, -1] == 0).all()


def test_layers_in_float_are_refused_in_one_sentence() -> None:
    name = _LAYERS[2].name
    for facts in (_FACTS, replace(_FACTS, table=None)):
        with pytest.raises(ConfigError, match=f"found float for {name} "):
            believe_unseen(facts, rules=[f"{name}=float,8/8"])


def test_products_of_tensors_are_answered_for_and_said_to_be_new() -> None:
    facts = NetworkFacts(layers=attention_layers())
    unseen = believe_unseen(facts)
    assert "products of two tensors" in unseen.distance.outside
    found = answer(unseen.beliefs, BudgetConfig(latency_ratio=0.9))
    found.allocation.check(facts.layers)
    assert facts_from(to_plain(facts), "here") == facts
    known = believe_unseen(facts, searched=[unseen.beliefs])
    times, own = known.beliefs.table.times_us, unseen.beliefs.table.times_us
    assert times["attn.matmul"] == pytest.approx(own["attn.matmul"])
    assert set(times["attn.matmul"]) == {(bits, bits) for bits in range(2, 9)}


def test_a_network_like_those_that_were_practised_on_is_near_and_others_are_not() -> None:
    near = believe_unseen(_FACTS).distance
    assert near.outside == ()
    assert near.deviations < 4
    linear = [
        replace(
            layer,
            kind="linear",
            kernel=(1, 1),
            groups=1,
            input_shape=(layer.in_channels,),
            output_shape=(layer.out_channels,),
        )
        for layer in _LAYERS
    ]
    far = believe_unseen(NetworkFacts(layers=tuple(linear))).distance
    assert "linear layers (share)" in far.outside
    assert far.deviations > near.deviations


def test_times_are_those_of_measured_layers_like_them() -> None:
    measured = believe_unseen(_FACTS).beliefs
    again = believe_unseen(replace(_FACTS, table=None), searched=[measured])
    assert again.times.startswith("those of the most similar of")
    for layer in _LAYERS:  # of several that are alike, any
        row = again.beliefs.table.times_us[layer.name]
        alike = [measured.table.times_us[one.name] for one in _LAYERS if one.macs == layer.macs]
        assert any(all(row[p] == pytest.approx(known[p]) for p in row) for known in alike)
    half = replace(_LAYERS[1], macs=_LAYERS[1].macs // 2, parameters=_LAYERS[1].parameters // 2)
    smaller = NetworkFacts(layers=(_LAYERS[0], half, *_LAYERS[2:]))
    found = believe_unseen(smaller, searched=[measured]).beliefs.table.times_us[half.name]
    assert 0 < found[8, 8] < measured.table.times_us[half.name][8, 8]


def test_the_version_is_that_of_the_weights() -> None:
    assert len(policy_version().rpartition("+")[2]) == 12


def test_what_is_familiar_was_fitted_to_retrained_networks() -> None:
    assert familiar().rises.networks == 10
    assert familiar().rises.per_bit < 0


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "expected layers"),
        ({"layers": []}, "expected 1 to 1,000"),
        ({"layers": [{"name": "a"}]}, "expected layers"),
        ({"layers": 7}, "expected layers"),
        ({"layers": [], "table": "x"}, "expected layers"),
        ([], "expected layers"),
    ],
)
def test_what_is_no_network_is_one_sentence(document: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        facts_from(document, "here")


def test_a_table_must_have_the_widths_that_may_be_chosen() -> None:
    assert _FACTS.table is not None
    times = {**_FACTS.table.times_us, _LAYERS[2].name: {(8, 8): 1.0}}
    facts = replace(_FACTS, table=replace(_FACTS.table, times_us=times))
    with pytest.raises(ConfigError, match=f"expected a time of {_LAYERS[2].name}"):
        believe_unseen(facts)
    with pytest.raises(ConfigError, match="names that differ"):
        NetworkFacts(layers=(_LAYERS[0], _LAYERS[0]))


def _onnx(file: Path, batch: int | str = 1, size: int | str = 6) -> Path:
    nodes = [
        make_node("Conv", ["x", "conv.weight"], ["a"]),
        make_node("Relu", ["a"], ["b"]),
        make_node("GlobalAveragePool", ["b"], ["c"]),
        make_node("Flatten", ["c"], ["d"]),
        make_node("Gemm", ["d", "head.weight"], ["y"]),
    ]
    values = {
        "conv.weight": _RNG.normal(size=(4, 2, 3, 3)).astype(np.float32),
        "head.weight": _RNG.normal(size=(4, 3)).astype(np.float32),
    }
    return write(file, nodes, values, [batch, 2, size, size], opset=13)


def test_the_layers_of_an_onnx_file_are_found_without_data(tmp_path: Path) -> None:
    facts = facts_of_onnx(_onnx(tmp_path / "n.onnx"))
    assert [(la.kind, la.parameters) for la in facts.layers] == [("conv2d", 76), ("linear", 15)]
    free = _onnx(tmp_path / "free.onnx", "batch", "side")
    with pytest.raises(ConfigError, match="leaves them free"):
        facts_of_onnx(free)
    assert facts_of_onnx(free, (2, 6, 6)).layers[0].macs == facts.layers[0].macs
    with pytest.raises(BitAllocError):
        facts_of_onnx(free, (3, 6, 6))
    assert facts_from(json.loads(json_text(facts)), "there") == facts


def test_the_command_answers_for_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "facts.json").write_text(json.dumps(to_plain(_FACTS)))
    flags = ["--network", str(tmp_path / "facts.json"), "--bit-choices", "2", "4", "8"]
    assert allocate_module.main([*flags, "--budget.latency-ratio", "0.8"]) == DONE
    shown = capsys.readouterr().out
    assert "for a network that nobody searched; times are measured" in shown
    assert "standard deviations from the networks that the policy knows" in shown
    onnx = str(_onnx(tmp_path / "n.onnx"))
    assert allocate_module.main(["--network", onnx, "--budget.model-bytes-ratio", "0.8"]) == DONE
    assert "a formula, which stands for no device" in capsys.readouterr().out
    assert allocate_module.main([]) == USER_MISTAKE
    assert allocate_module.main([str(tmp_path), *flags]) == USER_MISTAKE
    assert allocate_module.main(["--network", str(tmp_path / "none.json")]) == USER_MISTAKE
