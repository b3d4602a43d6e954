"""A modelled staircase says so wherever its numbers are."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.staircase.command import main
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from hardware.modelled import layer_table
from hardware.modelled.kernel_model import ModelledKernel
from hardware.progress import LabelledProgress


def model(
    graph: Any, widths: Any, target: Any, core: str, progress: LabelledProgress, **how: Any
) -> Any:
    """Half of the cycles for half of the bits."""
    assert (target.family, core) == ("arm-dot", "neoverse-n1")
    assert how == {"equal_bits": True, "batch": 1}
    (layer,) = graph.layer_ops()
    return {
        layer.layer: {
            (bits, bits): ModelledKernel(family="arm-dot", instructions=1, cycles=2400.0 * bits)
            for bits in widths
        }
    }


def test_the_command_writes_everything_and_says_modelled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_table, "model_layers", model)
    document, figure = tmp_path / "s.json", tmp_path / "s.png"
    files = ["--json", str(document), "--figure", str(figure), "--quiet"]
    flags = ["--modelled", "--target.board", "rpi5", "--shapes", "small", "--bits", "4"]
    assert main([*flags, *files]) == DONE
    shown = capsys.readouterr().out
    assert "by LLVM's model of neoverse-n1, modelled" in shown
    assert "4 bits: 2.00x over 8" in shown
    assert "nothing ran" in shown
    assert "before it was timed" not in shown
    found = json.loads(document.read_text())
    assert found["source"] == "modelled"
    assert found["machine"] == {"modelled_core": "neoverse-n1", "clock_mhz": 2400}
    # Cycles at 2400 MHz.
    assert found["layers"][0]["times_us"] == {"8/8": 8.0, "4/4": 4.0}
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_model_needs_a_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--modelled", "--shapes", "small", "--quiet"]) == USER_MISTAKE
    assert "found none" in capsys.readouterr().err
