"""The card of a bundle: what it says of float islands and of a missing ONNX model."""

from dataclasses import replace

from experiments.export.card import CardFacts, model_card
from experiments.record.islands import ListedIsland
from quant.allocation import Allocation, LayerBits
from quant.objective.metric import ACCURACY
from quant.objective.scores import Score

FACTS = CardFacts(
    bundle={
        "task": "tunes",
        "network": "own",
        "machine": "aarch64",
        "cpu": "cortex-a72",
        "labels": [],
        "preprocessing": None,
        "outputs": [{"name": "output", "shape": [3]}],
    },
    results={"rows": [], "best": {"measurement": {"device": "a board", "source": "measured"}}},
    best="best found",
    command="python -m experiments.run",
    date="2026-01-01",
    retraining_steps=10,
    allocation=Allocation.of({"stem": LayerBits(weight_bits=4, activation_bits=8)}),
    score=Score(metric=ACCURACY, value=0.90, standard_error=0.03, count=100, loss=0.3),
    kept="trained",
    float_score=0.91,
    weight_bytes=1000,
    island_bytes=0,
    bundle_bytes=2000,
    islands=[],
    signed=False,
    onnx=False,
)
ISLAND = ListedIsland(
    name="silu",
    operators=("silu", "mul"),
    reason='no integer form: module 5 (SiLU), File "/home/me/mine/net.py", line 9, in a|b',
    us=2.0,
    share=0.125,
)


def test_islands_are_listed_without_the_folders_of_who_wrote_them() -> None:
    card = model_card(replace(FACTS, islands=[ISLAND], island_bytes=24))
    assert "parameters 1,000 bytes and 24 of float islands;" in card
    row = next(line for line in card.splitlines() if line.startswith("| silu"))
    reason = r'no integer form: module 5 (SiLU), File "net.py", line 9, in a\|b'
    assert row == f"| silu | silu, mul | 12.5 % | {reason} |"
    assert "/home" not in card
    assert "island" not in model_card(FACTS)


def test_outputs_that_are_no_logits_have_names_and_shapes() -> None:
    outputs = [{"name": "boxes", "shape": [4]}, {"name": "mask", "shape": [2, 8, 8]}]
    card = model_card(replace(FACTS, bundle={**FACTS.bundle, "outputs": outputs}))
    assert "- output `boxes`: float32 `[N, 4]`\n- output `mask`: float32 `[N, 2, 8, 8]`" in card
    assert "one logit for each of" not in card
    bundle = {**FACTS.bundle, "labels": ["a", "b", "c"]}
    assert "one logit for each of: a, b, c" in model_card(replace(FACTS, bundle=bundle))


def test_a_missing_onnx_model_has_its_sentence() -> None:
    why = "There is no ONNX model: the float island a cannot be written."
    assert f"## No ONNX model\n\n{why}\n" in model_card(replace(FACTS, about_onnx=why))
    assert "ONNX" not in model_card(FACTS)
    worth = "ONNX Runtime computes what the integer reference does: 120.0 dB."
    assert f"\n{worth}\n" in model_card(replace(FACTS, onnx=True, about_onnx=worth))
    assert "in it as operators in float32" in model_card(
        replace(FACTS, onnx=True, islands=[ISLAND])
    )
