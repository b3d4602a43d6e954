"""Networks that nobody sends by mistake: uploads that harm, and layers that are none."""

import copy
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx.helper import make_node

from experiments.service.errors import RefusedError
from experiments.service.work.networks import Networks
from experiments.zero_shot.network_facts import NetworkFacts
from quant.records.json_form import to_plain
from tests.env.tasks.onnx_network.agreement import write
from tests.experiments.service.here import Here
from tools.train_policy.networks import draw_space, draw_times

_W = np.ones((4, 3, 3, 3), np.float32)
_SHAPE: list[int | str] = [1, 3, 6, 6]
_RNG = np.random.default_rng(5)
_LAYERS = next(
    space.layers for space in (draw_space(_RNG) for _ in range(10_000)) if len(space.layers) < 7
)
_NETWORK: dict[str, Any] = {
    "layers": to_plain(_LAYERS),
    "table": to_plain(draw_times(_LAYERS, _RNG)),
}
_PATIENCE_S = 300.0
"""Of a client: a network is read by a process of its own, and the machine may be busy."""
_MOST_BYTES = 150e6
"""That this process, which is the server too, may come to have more by a file of a kilobyte."""


def _plain(folder: Path) -> Path:
    return write(folder / "n.onnx", [make_node("Conv", ["x", "w"], ["y"])], {"w": _W}, _SHAPE)


def _changed(change: Callable[[Any], None]) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        model = onnx.load(_plain(folder))
        change(model)
        made: bytes = model.SerializeToString()
        return made

    return make


def _elsewhere(model: Any) -> None:
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../../../etc/passwd"


def _claims_terabytes(model: Any) -> None:
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([1 << 20, 1 << 20, 3, 3])


def _claims_a_huge_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 1 << 60


def _own_operator(model: Any) -> None:
    model.graph.node[0].domain = "evil"
    model.graph.node[0].op_type = "PythonOp"


def _of_nodes(*nodes: onnx.NodeProto, **values: Any) -> Callable[[Path], bytes]:
    return lambda folder: write(folder / "n.onnx", list(nodes), values, _SHAPE).read_bytes()


_DOUBLES = [make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], axis=0) for i in range(60)]
_FILES: dict[str, Callable[[Path], bytes]] = {
    "torn": lambda folder: _plain(folder).read_bytes()[:-40],
    "pickle": lambda folder: b"\x80\x04cos\nsystem\n(S'touch /tmp/evil'\ntR.",
    "many": lambda folder: b"\x3a\x80\x80\x80\x04" + b"\x0a\x00" * (1 << 18) * 2,
    "elsewhere": _changed(_elsewhere),
    "terabytes": _changed(_claims_terabytes),
    "huge input": _changed(_claims_a_huge_input),
    "own operator": _changed(_own_operator),
    "tile": _of_nodes(
        make_node("Tile", ["x", "r"], ["y"]), r=np.array([1, 1 << 20, 1 << 20, 1 << 20])
    ),
    "doubles": _of_nodes(
        *_DOUBLES, make_node("Add", ["x", "c60"], ["y"]), c0=np.ones(1 << 12, np.float32)
    ),
}


@contextmanager
def _little_memory() -> Iterator[None]:
    before = psutil.Process().memory_info().rss
    yield
    assert psutil.Process().memory_info().rss - before < _MOST_BYTES


@pytest.mark.parametrize("kind", _FILES)
def test_a_file_that_does_harm_is_one_sentence_and_the_server_goes_on(
    here: Here, kind: str, tmp_path: Path
) -> None:
    with _little_memory():
        sent = here.ask("POST", "/v1/networks", content=_FILES[kind](tmp_path))
        if sent.status_code == 413:
            return
        assert sent.status_code == 201, sent.text
        name = sent.json()["name"]
        answer = _sent(here, {"network": name, "model_bytes_ratio": 0.7})
    assert answer.status_code == 422, answer.text
    said = answer.json()
    assert said["fault"] == "user"
    assert str(here.service.folder.path) not in answer.text
    assert "root:" not in answer.text
    assert "Traceback" not in answer.text
    assert here.ask("GET", "/healthz", "").status_code == 200


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=4),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
_REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "latency_ratio": st.floats(0.01, 2),
        "model_bytes_ratio": st.floats(0.01, 2),
        "bit_choices": st.lists(st.integers(2, 8), min_size=2, max_size=7, unique=True),
        "target": st.sampled_from(["this machine", "pi", "nowhere"]),
    },
)


def _places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something stands in a document."""
    if path:
        yield path
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield from _places(value, (*path, key))


_PLACES = sorted(_places(_NETWORK), key=str)


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(changes=st.lists(st.tuples(st.sampled_from(_PLACES), _VALUES), max_size=3), request=_REQUEST)
def test_layers_of_any_kind_are_answered_or_refused_in_a_sentence(
    here: Here, changes: list[tuple[tuple[Any, ...], Any]], request: dict[str, Any]
) -> None:
    network = copy.deepcopy(_NETWORK)
    for (*way, last), value in changes:
        inner: Any = network
        try:
            for key in way:
                inner = inner[key]
            inner[last] = value
        except (TypeError, KeyError, IndexError):
            continue  # an earlier change took the place away
    answer = _sent(here, {"network": network, **request})
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 200:
        assert answer.json()["predicted"] is True
    else:
        assert answer.json()["detail"]


def test_networks_that_are_read_for_long_leave_the_others_their_answers(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = threading.Event()

    def read(networks: Networks, path: Path, shape: object) -> NetworkFacts:
        assert ending.wait(_PATIENCE_S)
        raise RefusedError("it took too much time")

    monkeypatch.setattr(Networks, "_read", read)
    name = here.ask("POST", "/v1/networks", content=b"that takes long").json()["name"]
    asked = {"network": name, "model_bytes_ratio": 0.9}
    with ThreadPoolExecutor(50) as clients:
        answers = [clients.submit(_sent, here, asked) for _ in range(50)]
        refused = [answer.result() for answer in islice(as_completed(answers), 46)]
        assert {answer.status_code for answer in refused} == {503}
        assert here.ask("GET", "/v1/jobs").status_code == 200
        network = {"network": _NETWORK, "model_bytes_ratio": 0.9}
        assert _sent(here, network).status_code == 200
        ending.set()
    assert sorted(answer.result().status_code for answer in answers) == [422] * 4 + [503] * 46


def _sent(here: Here, document: Any) -> httpx.Response:
    """Send JSON as it is, with numbers that httpx would not write."""
    headers = {"Content-Type": "application/json"}
    content = json.dumps(document)
    return here.ask("POST", "/v1/allocate", content=content, headers=headers, timeout=_PATIENCE_S)


@pytest.mark.parametrize("layers", [1, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_smallest_and_the_largest_network_are_answered(here: Here, layers: int) -> None:
    last = _NETWORK["layers"][-1]
    many = [{**last, "name": f"l{k}", "tensor": f"t{k}"} for k in range(layers)]
    asked = {"network": {"layers": many}, "model_bytes_ratio": 0.9, "bit_choices": [4, 8]}
    answer = _sent(here, asked)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["allocation"]["layers"]) == layers
