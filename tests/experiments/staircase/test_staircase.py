"""The staircase's command, document, notes and figure."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.charts.draw import draw_chart, spread_out
from experiments.staircase.command import main
from experiments.staircase.figure import speedup_chart
from experiments.staircase.notes import notes
from experiments.staircase.staircase import Staircase, measure_staircase
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from hardware.layers.shapes import SMALL_SHAPES, STANDARD_SHAPES, standard_graph
from hardware.measuring.protocol import ProtocolConfig
from hardware.open_device import open_device
from hardware.simulated import SimulatedDevice, simulated_layer_us
from hardware.target import TargetConfig
from tests.experiments.staircase.bar import check_bar

SIMULATED = ["--target.runner", "simulated", "--quiet"]
WIDTHS = (8, 7, 6, 5, 4, 3, 2)
PROTOCOL = ProtocolConfig()


@pytest.fixture(scope="module")
def simulated() -> Staircase:
    graphs = [standard_graph(shape) for shape in STANDARD_SHAPES]
    return measure_staircase(
        SimulatedDevice(PROTOCOL), graphs, WIDTHS, PROTOCOL, what="standard shapes", all_pairs=False
    )


def test_the_command_writes_everything_and_says_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document, figure = tmp_path / "s.json", tmp_path / "s.png"
    files = ["--json", str(document), "--figure", str(figure)]
    assert main(["--shapes", "standard", *files, *SIMULATED]) == DONE
    shown = capsys.readouterr().out
    assert shown.count("simulated: a formula, nothing was measured") == 2  # table and sentence
    assert all(shape.name in shown for shape in STANDARD_SHAPES)
    assert "7 bits: 1.33x over 8; 6: 1.69x; 5: 1.88x; 4: 1.95x; 3 and below: 1.99x" in shown
    found = json.loads(document.read_text())
    assert found["source"] == "simulated"
    assert found["command"].startswith("python -m experiments.staircase --shapes standard")
    assert "simulated" in found["summary"]["sentence"]
    header = figure.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:24]) == (1000, 600)


def test_what_became_of_amx_is_said_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = SimulatedDevice.facts
    monkeypatch.setattr(SimulatedDevice, "facts", lambda self: {**facts(self), "amx": "it is late"})
    assert main(["--shapes", "small", *SIMULATED]) == DONE
    assert capsys.readouterr().out.count("AMX is left out: it is late.") == 1


def test_the_document_holds_every_layer(simulated: Staircase) -> None:
    commit = {"commit": "1a2b", "dirty": False}
    found = json.loads(json.dumps(simulated.to_dict("the command", commit)))
    assert (found["command"], found["commit"]) == ("the command", commit)
    assert set(found) == {
        *("staircase_schema", "what", "device", "source", "machine", "command", "commit"),
        *("protocol", "disturbed_share", "overhead_us", "layers", "summary"),
    }
    assert found["machine"]["cpu"] == "simulated"
    assert found["protocol"]["batch"] == 1
    assert found["overhead_us"] is None
    first = found["layers"][0]
    assert first["layer"] == "conv3x3-56x56x64"
    assert (first["kernel"], first["macs"]) == ([3, 3], 115_605_504)
    assert list(first["times_us"]) == [f"{bits}/{bits}" for bits in WIDTHS]
    assert first["times_us"]["6/6"] == simulated_layer_us(115_605_504, 6, 6)
    assert set(first["families"].values()) == {"formula"}
    (stem,) = (layer for layer in found["layers"] if layer["layer"].startswith("stem"))
    assert list(stem["times_us"]) == [f"{bits}/8" for bits in WIDTHS]
    assert found["summary"]["bar"] == []
    bar = check_bar(simulated.layers, simulated.widths)
    assert [line.name for line in bar[:1] + bar[-1:]] == ["conv3x3-56x56x64", "geometric mean"]
    assert all(line.failed for line in bar)  # the formula knows no table kernel


def test_all_pairs_of_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.json"
    flags = ["--network", "--bits", "4", "2", "--all-pairs", "--json", str(file), *SIMULATED]
    assert main(flags) == DONE
    found = json.loads(file.read_text())
    assert found["overhead_us"] > 0
    assert list(found["layers"][0]["times_us"]) == ["8/8", "4/8", "2/8"]
    assert len(found["layers"][1]["times_us"]) == 9
    shown = " ".join(capsys.readouterr().out.split())
    assert "columns are activation bits" in shown
    assert "reads the network's input" in shown
    assert "Everything that is no layer" in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--bits", "9"], "--bits: expected 2 to 8, found 9"),
        (["--bits", "8"], "--bits: expected a width to compare with 8, found none"),
        (["--figure", "s.pdf"], "--figure: expected a name that ends in .png, found s.pdf"),
        (["--json", "nowhere/s.json"], "cannot write nowhere/s.json: there is no folder nowhere"),
        (["--target.runnr", "local"], "unknown key target.runnr"),
    ],
)
def test_mistakes_are_one_sentence(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--shapes", "small", *flags, *SIMULATED]) == USER_MISTAKE
    assert message in capsys.readouterr().err


def test_a_network_and_shapes_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--network", "--shapes", "small"]) == USER_MISTAKE
    assert "not allowed with" in capsys.readouterr().err


def test_notes_name_fall_backs_and_families_that_never_ran(simulated: Staircase) -> None:
    first, second, third, *_ = simulated.layers
    layers = (
        replace(first, families=dict.fromkeys(first.times_us, "generic")),
        replace(second, families={**second.families, (2, 2): "generic"}),
        replace(third, families=dict.fromkeys(third.times_us, "neon-d2")),
    )
    told = "\n".join(notes(replace(simulated, layers=layers)))
    assert f"nothing faster is written: {first.name}, {second.name} at 2/2." in told
    assert "Never timed on a machine of this project's: neon-d2" in told
    plain = "\n".join(notes(simulated))
    assert "fall-back" not in plain
    assert "Never timed" not in plain
    assert "simulated times" in plain


def test_the_figure_has_a_line_for_each_layer_and_one_for_all(simulated: Staircase) -> None:
    figure = draw_chart(speedup_chart(simulated))
    axes = figure.axes[0]
    thin = [line for line in axes.lines if line.get_linewidth() == 1.0]
    (thick,) = (line for line in axes.lines if line.get_linewidth() > 2.0)
    assert len(thin) == len(simulated.layers)
    expected = [width.speedup for width in simulated.summary.widths]
    assert np.asarray(thick.get_ydata()) == pytest.approx(expected)
    names = {text.get_text().removesuffix("*") for text in axes.texts}
    assert names.issuperset(shape.name for shape in STANDARD_SHAPES)
    assert "simulated" in figure.get_suptitle()


def test_names_move_apart_and_stay_inside() -> None:
    assert spread_out([1.0, 1.0, 5.0], 0.5, 9.0) == [1.0, 1.5, 5.0]
    assert spread_out([8.9, 9.0], 0.5, 9.0) == [8.5, 9.0]
    assert spread_out([], 0.5, 9.0) == []


def test_two_small_shapes_on_this_machine(tmp_path: Path) -> None:
    shapes = SMALL_SHAPES[-2:]
    protocol = ProtocolConfig(min_repeat_ms=1.0)
    with open_device(TargetConfig(kernel_cache=str(tmp_path)), protocol) as device:
        staircase = measure_staircase(
            device,
            [standard_graph(shape) for shape in shapes],
            (2, 8),
            protocol,
            what="two shapes",
            all_pairs=False,
        )
    assert staircase.source == "measured"
    for layer, shape in zip(staircase.layers, shapes, strict=True):
        assert layer.name == shape.name
        assert set(layer.times_us) == {(8, 8), (2, 2)}
        assert all(0.0 < time_us < 1e6 for time_us in layer.times_us.values())
        assert all(spread_us >= 0.0 for spread_us in layer.spreads_us.values())
        assert all(layer.families.values())
    assert "llvm" in staircase.machine["target"]
    assert len(staircase.summary.widths) == 2
