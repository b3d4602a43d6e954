import io
import json
from typing import Any

import pytest
from rich.console import Console

from experiments.bench.peers.contender import Bits, Contender, Engine
from experiments.bench.runtime.results import (
    NetworkRuntimes,
    RuntimeBench,
    RuntimeRow,
    best_int8_peer,
    make_row,
)
from experiments.bench.runtime.rounds import Repeats
from experiments.bench.runtime.table import draw_runtime
from quant.allocation import Allocation, LayerBits
from quant.records.json_form import to_plain

MIXED = Allocation.of({"conv": LayerBits(weight_bits=3, activation_bits=8)})


def _row(engine: Engine, bits: Bits, latency_ms: float) -> RuntimeRow:
    contender = Contender(
        engine=engine, weight_bits=bits, activation_bits=bits, execute=lambda: None
    )
    calm = (latency_ms, latency_ms * 0.9, latency_ms * 1.1)
    return make_row("resnet8", contender, Repeats(calm_ms=calm, disturbed_ms=(99.0,), wanted=3))


ROWS = (
    _row("bitalloc", 8, 2.0),
    _row("bitalloc", "mixed", 1.0),
    _row("onnxruntime", 32, 8.0),
    _row("onnxruntime", 8, 5.0),
    _row("openvino", 8, 4.0),
    _row("torch", 32, 16.0),
)


def _bench(rows: tuple[RuntimeRow, ...] = ROWS, **machine: Any) -> RuntimeBench:
    facts = {"cpu": "a CPU", "machine": "x86_64", "cpu_features": ["avx2"], "hidden": ""}
    network = NetworkRuntimes(
        network="resnet8",
        limits_gmacs={},
        macs=12_000_000,
        rows=rows,
        mixed=MIXED,
        families={"bitalloc W8A8": {"avx2-w8": 10}},
        rounds=7,
    )
    return RuntimeBench(machine={**facts, **machine}, command="bench", networks=(network,))


def _drawn(bench: RuntimeBench) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(draw_runtime(bench))
    return console.export_text()


def test_a_row_is_the_median_and_the_quartiles_distance() -> None:
    contender = Contender(engine="tvm", weight_bits=32, activation_bits=32, execute=lambda: None)
    calm = Repeats(calm_ms=(5.0, 1.0, 2.0, 3.0, 40.0), disturbed_ms=(90.0,) * 9, wanted=10)
    row = make_row("resnet20", contender, calm)
    assert (row.latency_ms_median, row.latency_ms_iqr, row.repeats) == (3.0, 3.0, 5)
    assert (row.disturbed_repeats, row.unstable) == (9, False)


def test_where_too_few_repeats_were_calm_all_count_and_the_row_says_so() -> None:
    contender = Contender(engine="tvm", weight_bits=32, activation_bits=32, execute=lambda: None)
    row = make_row(
        "resnet20", contender, Repeats(calm_ms=(1.0,), disturbed_ms=(2.0, 3.0), wanted=3)
    )
    assert (row.latency_ms_median, row.repeats, row.unstable) == (2.0, 3, True)
    drawn = " ".join(_drawn(_bench((row,))).split())
    assert "2*" in drawn
    assert "do not trust it" in drawn
    assert "repeats left out" not in drawn


def test_the_document_holds_rows_of_every_network_and_survives_json() -> None:
    document = json.loads(json.dumps(to_plain(_bench())))
    assert set(document) == {"machine", "command", "rows", "networks"}
    assert document["rows"][1] == {
        "network": "resnet8",
        "engine": "bitalloc",
        "weight_bits": "mixed",
        "activation_bits": "mixed",
        "latency_ms_median": 1.0,
        "latency_ms_iqr": pytest.approx(0.1),
        "repeats": 3,
        "disturbed_repeats": 1,
        "unstable": False,
        "limit_share": None,
    }
    assert Allocation.from_dict(document["networks"]["resnet8"]["mixed"]) == MIXED
    assert document["networks"]["resnet8"]["macs"] == 12_000_000


def test_the_best_int8_peer_is_neither_ours_nor_float() -> None:
    best = best_int8_peer(ROWS)
    assert best is not None
    assert best.engine == "openvino"
    assert best_int8_peer([row for row in ROWS if row.engine in ("bitalloc", "torch")]) is None


def test_the_table_gives_ratios_to_the_best_peer_and_products_a_second() -> None:
    drawn = [line.split() for line in _drawn(_bench(ROWS[1:])).splitlines()]
    lines = {words[0]: words for words in drawn if words}
    assert lines["bitalloc"] == ["bitalloc", "mixed", "1", "0.1", "12.0", "4.00"]
    assert lines["openvino"] == ["openvino", "8/8", "4", "0.4", "3.0", "1.00"]
    caption = " ".join(_drawn(_bench()).split())
    assert "repeats left out, as other programs slowed the machine: 6" in caption
    assert "of what takes over" not in caption
    slow = " ".join(_drawn(_bench((_row("tvm", 32, 400.0),))).split())
    assert "3 of what takes over 250 ms" in slow
    alone = _drawn(_bench((ROWS[0],)))
    assert "best int8 peer" not in alone


def test_the_notes_say_whether_the_peers_saturate_and_what_was_hidden() -> None:
    assert "int8 saturates" in _drawn(_bench())
    vnni = ["avx2", "avx512_vnni"]
    assert "int8 is exact" in _drawn(_bench(cpu_features=vnni))
    hidden = _drawn(_bench(cpu_features=vnni, hidden="AVX-512 was hidden"))
    assert "AVX-512 was hidden." in hidden
    assert "int8 saturates" in hidden
    both = [*vnni, "amx_int8"]
    assert "uses AMX on this CPU. AMX multiplies bytes" in _drawn(
        _bench(cpu_features=both, amx="used")
    )
    assert "uses AMX on this CPU. Ours does not." in _drawn(_bench(cpu_features=both))
    refused = _drawn(_bench(cpu_features=both, amx="it is late"))
    assert "AMX is left out: it is late." in refused
    assert "uses AMX" not in refused
    assert "AMX" not in _drawn(_bench(cpu_features=both, hidden="AVX-512 was hidden"))
    board = _drawn(_bench(machine="aarch64"))
    assert "saturates" not in board
    assert "int8 is exact" not in board
