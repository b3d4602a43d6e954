import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quant.allocation import Allocation, LayerBits
from quant.errors import AllocationError
from quant.records.json_form import EXACT, from_plain, to_plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    x: float
    n: int = 1

    __pydantic_config__ = EXACT


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    values: tuple[float, ...]
    inner: Inner
    facts: dict[str, Any] = field(default_factory=dict)
    allocation: Allocation | None = None


OUTER = Outer(
    values=(1.0, math.inf),
    inner=Inner(x=0.5),
    facts={"share": 0.25, "names": ["a"], "none": None},
    allocation=Allocation.of({"conv": LayerBits(weight_bits=4, activation_bits=8)}),
)


def test_a_dataclass_is_given_back() -> None:
    document = to_plain(OUTER)
    assert list(document) == ["values", "inner", "facts", "allocation"]
    assert from_plain(Outer, json.loads(json.dumps(document))) == OUTER
    assert from_plain(tuple[Outer, ...], to_plain([OUTER, OUTER])) == (OUTER, OUTER)


def test_what_is_not_a_number_stays_so() -> None:
    document = to_plain(Outer(values=(math.nan,), inner=Inner(x=math.nan)))
    assert math.isnan(document["values"][0])
    assert math.isnan(from_plain(Outer, document).inner.x)


def test_numpy_and_paths_are_plain() -> None:
    facts = {"share": np.float32(0.5), "count": np.int64(3), "path": Path("a/b"), "pair": (1, 2)}
    expected = {"share": 0.5, "count": 3, "path": "a/b", "pair": [1, 2]}
    assert to_plain(facts) == expected
    assert to_plain(Outer(values=(), inner=Inner(x=0.0), facts=facts))["facts"] == expected


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"values": ["1"]}, r"values\.0: .*valid number"),
        ({"values": [True]}, r"values\.0: .*valid number"),
        ({"values": None}, "values: .*valid array"),
        ({"inner": {"x": 1.0, "y": 2.0}}, r"inner\.y: "),
        ({"inner": {}}, r"inner\.x: Field required"),
        ({"inner": {"x": 1.0, "n": 1.5}}, r"inner\.n: .*valid integer"),
    ],
)
def test_another_form_is_refused_in_one_sentence(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        from_plain(Outer, {**to_plain(OUTER), **change})
    assert "\n" not in str(caught.value)


def test_the_class_itself_says_what_it_refuses() -> None:
    with pytest.raises(AllocationError, match="schema 1, found 2"):
        from_plain(Outer, {**to_plain(OUTER), "allocation": {"schema": 2, "layers": {}}})


def test_only_what_older_versions_lack_may_be_missing() -> None:
    document = {"values": [], "inner": {"x": 1}, "facts": {}, "unknown": 3}
    assert from_plain(Outer, document).allocation is None
    assert from_plain(Outer, document, lacking=["allocation"]).inner == Inner(x=1.0)
    with pytest.raises(ValueError, match="allocation: Field required"):
        from_plain(Outer, document, lacking=["facts"])
