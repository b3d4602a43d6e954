"""One allocation beside all-8-bit, without training."""

import json
from pathlib import Path

import pytest

from experiments.measure import main
from experiments.record.environment_facts import git_state
from experiments.terminal.exit_codes import DONE, USER_MISTAKE

SIMULATED = ("--target.runner", "simulated", "--protocol.repeats", "5", "--quiet")


def test_fewer_bits_take_less_and_everything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "measured.json"
    assert main(["--bits", "3", "--json", str(file), *SIMULATED]) == DONE
    document = json.loads(file.read_text())
    assert document["commit"] == git_state()
    all_8, given = (document["measurements"][name] for name in ("uniform 8", "given"))
    assert given["median_ms"] < all_8["median_ms"]
    assert document["model_bytes"]["given"] < document["model_bytes"]["uniform 8"]
    assert "simulated" in capsys.readouterr().out

    # An allocation that a document holds is the same one.
    allocation = tmp_path / "allocation.json"
    allocation.write_text(json.dumps(document["allocations"]["given"]))
    again = tmp_path / "again.json"
    assert main(["--allocation", str(allocation), "--json", str(again), *SIMULATED]) == DONE
    measured = json.loads(again.read_text())["measurements"]
    assert measured["given"]["median_ms"] == given["median_ms"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--allocation and --bits, found neither"),
        (["--bits", "9"], "expected 2 to 8, found 9"),
        (["--bits", "4", "--allocation", "x.json"], "found both"),
        (["--allocation", "none.json"], "cannot read none.json"),
        (["--bits", "4", "--json", "no/folder/x.json"], "there is no folder"),
    ],
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *SIMULATED]) == USER_MISTAKE
    assert said in capsys.readouterr().err


def test_an_allocation_of_another_network_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other.json"
    layers = {"elsewhere": {"weight_bits": 4, "activation_bits": 4}}
    file.write_text(json.dumps({"schema": 1, "layers": layers}))
    assert main(["--allocation", str(file), *SIMULATED]) == USER_MISTAKE
    assert "no layer 'elsewhere'" in capsys.readouterr().err
