import json
from pathlib import Path

import psutil
import pytest

from hardware.facts import MachineFacts, MomentFacts
from hardware.measuring import host_facts
from hardware.measuring.host_facts import moment_facts, standing_facts


def test_facts_are_json_and_name_the_machine() -> None:
    facts = {**standing_facts(), **moment_facts()}
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"]
    assert set(standing_facts()) <= set(MachineFacts.__annotations__)
    assert set(moment_facts()) <= set(MomentFacts.__annotations__)
    assert (standing_facts()["cores"] or 0) >= 1
    assert moment_facts()["load_1min"] >= 0


def test_what_cannot_be_read_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(host_facts, "_GOVERNOR", tmp_path / "none")
    monkeypatch.setattr(psutil, "cpu_freq", lambda: None)
    monkeypatch.setattr(psutil, "sensors_temperatures", dict, raising=False)
    assert set(moment_facts()) == {"load_1min"}


def test_the_governor_is_read_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "governor").write_text("performance\n")
    monkeypatch.setattr(host_facts, "_GOVERNOR", tmp_path / "governor")
    assert moment_facts()["governor"] == "performance"
