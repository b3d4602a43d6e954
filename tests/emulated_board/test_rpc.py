"""The emulated board over TVM RPC: real tracker, agent and aarch64 code, on 127.0.0.1."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from experiments.boards import command as boards
from experiments.run import main as run_main
from experiments.staircase.command import main as staircase_main
from hardware.errors import HardwareLostError
from hardware.graph.agreement import fixed_input
from hardware.host.remote.device import RpcDevice
from hardware.measure_layers import measure_layer_table
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import KernelFamily, TargetConfig, host_and_port
from hardware.tracker import tracked_keys
from hardware.worker.workbench import Workbench
from quant.deploy_graph import RunIsland
from quant.integer import run_graph
from tests.emulated_board.board import EmulatedBoard
from tests.emulated_board.rpc_board import RpcBoard, cross_tools
from tests.hardware.graphs import digits_like, zoo
from tests.hardware.host.remote.boards import Tracker, free_port
from tests.hardware.island_graphs import converted
from tests.hardware.token_graphs import converted_tokens

pytestmark = [pytest.mark.board, pytest.mark.timeout(600)]

FAST = ["--protocol.repeats", "5", "--protocol.min-repeat-ms", "1", "--protocol.warmups", "0"]


@dataclass(frozen=True)
class Laboratory:
    """A tracker with a Pi 4 and a Pi 5 that are emulated."""

    tracker: str
    old: RpcBoard
    kernels: Path

    def flags(self, board: str, key: str) -> list[str]:
        target = ["--target.board", board, "--target.tracker", self.tracker, "--target.key", key]
        return [*target, "--target.kernel-cache", str(self.kernels), "--quiet"]

    def config(self, board: str, key: str, family: KernelFamily | str = "auto") -> TargetConfig:
        return TargetConfig(
            board=board,  # type: ignore[arg-type]
            tracker=self.tracker,
            key=key,
            family=family,  # type: ignore[arg-type]
            kernel_cache=str(self.kernels),
            reconnect_s=60.0,
        )


@pytest.fixture(scope="module")
def lab(board: EmulatedBoard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    folder = tmp_path_factory.mktemp("lab")
    path = f"{cross_tools(board, folder / 'bin')}:{os.environ['PATH']}"

    def agent(cpu: str, key: str) -> RpcBoard:
        own = folder / key
        own.mkdir()
        given = ["--port", str(free_port()), "--tracker", tracker.address, "--key", key]
        return RpcBoard(board, cpu, own, [*given, "--name", key])

    with pytest.MonkeyPatch.context() as patch, Tracker(folder) as tracker:
        patch.setenv("PATH", path)
        with agent("cortex-a72", "pi4") as old, agent("cortex-a76", "pi5"):
            yield Laboratory(tracker=tracker.address, old=old, kernels=folder / "kernels")


def last_lines(text: str, count: int) -> Sequence[str]:
    return text.strip().splitlines()[-count:]


def test_the_doctor_finds_everything_good_but_the_times(
    lab: Laboratory, capsys: pytest.CaptureFixture[str]
) -> None:
    until = time.monotonic() + 120
    while len(tracked_keys(*host_and_port(lab.tracker))) < 2:  # boards register when they are up
        assert time.monotonic() < until
        time.sleep(0.2)
    assert boards.main(["--tracker", lab.tracker]) == 0
    listed = capsys.readouterr().out
    assert "pi4" in listed
    assert "pi5" in listed
    assert boards.main(["doctor", *lab.flags("rpi4", "pi4")]) == 0
    told = capsys.readouterr().out
    for name in ("address", "cross-link", "reachable", "versions", "exact result"):
        assert f"{name}: " in told
    assert "bad" not in told.split()
    assert "emulated by qemu-aarch64" in told
    assert "2 bits neon-table2" in told


@pytest.mark.parametrize(
    ("preset", "key", "family"),
    [("rpi4", "pi4", "neon"), ("rpi4", "pi4", "generic"), ("rpi5", "pi5", "arm-dot")],
)
def test_arm_families_are_exact_over_rpc(
    lab: Laboratory, preset: str, key: str, family: str
) -> None:
    config = lab.config(preset, key, family)
    with RpcDevice(config, ProtocolConfig(timeout_s=120.0)) as device:
        for graph in (zoo(0), zoo(1), digits_like((8, 2, 3, 2, 4)), digits_like((6, 7, 5, 6, 7))):
            x = fixed_input(graph, 1)
            assert np.array_equal(device.run(graph, x), run_graph(graph, x)), graph.network
        assert device.source == "emulated"


def test_float_islands_are_compiled_for_the_board(lab: Laboratory, tmp_path: Path) -> None:
    graph, config = converted("three islands"), lab.config("rpi4", "pi4")
    protocol = ProtocolConfig(timeout_s=120.0, repeats=5, min_repeat_ms=1.0, warmups=0)
    with RpcDevice(config, protocol) as device:
        # Compared with the reference first: equal outside the islands, to five digits inside.
        assert device.measure(graph).error == ""
        table = measure_layer_table(device, graph, (8,), equal_bits=True)
    assert table.source == "emulated"
    assert set(table.islands_us) == {op.name for op in graph.ops if isinstance(op, RunIsland)}
    assert all(taken_us > 0 for taken_us in table.islands_us.values())
    Workbench(config, 1).link_outside(graph, tmp_path / "program.so")
    assert b"libm.so.6\0" in (tmp_path / "program.so").read_bytes()  # `erff` and its like


@pytest.mark.parametrize(("preset", "key"), [("rpi4", "pi4"), ("rpi5", "pi5")])
def test_a_transformer_is_exact_outside_its_islands_on_the_board(
    lab: Laboratory, preset: str, key: str
) -> None:
    """Blocks of tokens: four Linears each, attention and LayerNorm as islands between them."""
    protocol = ProtocolConfig(timeout_s=240.0, repeats=5, min_repeat_ms=1.0, warmups=0)
    with RpcDevice(lab.config(preset, key), protocol) as device:
        for name in ("vit", "gate"):
            assert device.measure(converted_tokens(name, 1)).error == "", name


def test_code_for_another_core_is_told_by_the_reference_kernel(lab: Laboratory) -> None:
    starts = lab.old.starts
    lost = pytest.raises(HardwareLostError, match="SIGILL: the board is not what")
    with RpcDevice(lab.config("rpi5", "pi4"), ProtocolConfig()) as device, lost as caught:
        device.facts()
    assert "name the board that it is" in caught.value.hint
    assert lab.old.starts > starts  # it ended with a code, and was started again


def test_the_staircase_of_small_shapes(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "staircase.json"
    what = ["--shapes", "small", "--bits", "8", "4", "--json", str(file)]
    assert staircase_main([*what, *lab.flags("rpi4", "pi4"), *FAST]) == 0
    shown = capsys.readouterr().out
    assert "emulated times and no device's own" in shown
    document = json.loads(file.read_text())
    assert document["source"] == "emulated"
    assert document["machine"]["preset"] == "rpi4"
    assert len(document["layers"]) == 4


def test_the_main_job_over_rpc(
    lab: Laboratory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ["--config", "experiments/configs/smoke.yaml", "--output", str(tmp_path)]
    small = ["--env.bit-choices", "4", "8", "--evaluations", "4"]
    flags = [*config, *small, *lab.flags("rpi4", "pi4"), *FAST, "--protocol.timeout-s", "120"]
    assert run_main(flags) == 0
    folder = tmp_path / "latest"
    assert "__rpi4__" in folder.resolve().name
    rows = [json.loads(line) for line in (folder / "evaluations.jsonl").read_text().splitlines()]
    assert len(rows) == 4
    assert {row["measurement"]["source"] for row in rows} == {"emulated"}
    assert not any(row["error"] for row in rows)
    results = json.loads((folder / "results.json").read_text())
    assert {row["source"] for row in results["rows"] if row["source"]} == {"emulated"}
    assert "latency emulated" in " ".join(capsys.readouterr().out.split())
    assert "the latencies of this run are emulated" in (folder / "report.html").read_text()
    facts = json.loads((folder / "environment.json").read_text())["device"]
    assert facts["emulated"].startswith("qemu-aarch64")
