import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.errors import RunFolderError
from experiments.record.environment_facts import environment_facts
from experiments.record.run_folder import RunFolder, open_run
from experiments.settings.command_line import command_line
from experiments.settings.run_config import RunConfig
from tests.experiments.evaluations import allocation, evaluation

NOON = 1_700_000_000.0


def config(folder: Path) -> RunConfig:
    return RunConfig(output=str(folder), seed=5)


def test_the_name_says_task_target_method_seed_and_time(tmp_path: Path) -> None:
    first = RunFolder.create(config(tmp_path), "local", NOON)
    second = RunFolder.create(config(tmp_path), "local", NOON)
    name = first.path.name
    assert name.startswith("digits__local__ppo__s5__2023111")
    assert second.path.name == f"{name}-2"
    assert (tmp_path / "latest").resolve() == second.path.resolve()


def test_a_real_file_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").write_text("mine")
    RunFolder.create(config(tmp_path), "local", NOON)
    assert (tmp_path / "latest").read_text() == "mine"


def test_an_evaluation_is_on_the_disk_when_append_returns(tmp_path: Path) -> None:
    folder = RunFolder.create(config(tmp_path), "local", NOON)
    for index in range(2):
        item = evaluation(index, allocation(4), score=0.9, latency_ms=0.5)
        folder.append_evaluation(item)
        lines = (folder.path / "evaluations.jsonl").read_text().splitlines()
        assert [json.loads(line)["index"] for line in lines] == list(range(index + 1))


def test_the_configuration_reads_back_from_a_finished_folder(tmp_path: Path) -> None:
    asked = config(tmp_path)
    folder = RunFolder.create(asked, "local", NOON)
    with pytest.raises(RunFolderError, match=r"has no best_allocation\.json"):
        open_run(folder.path, finished=True)
    folder.write_json("results.json", {"rows": []})
    folder.write_json("best_allocation.json", allocation(4))
    found, read = open_run(tmp_path / "latest", finished=True)
    assert read == asked
    assert found.path == folder.path.resolve()
    assert found.read_json("results.json") == {"rows": []}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match="cannot make a run folder"):
        RunFolder.create(config(tmp_path), "local", NOON)


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunFolderError, match="cannot make a run folder"):
        RunFolder.create(replace(config(tmp_path), output=str(tmp_path / "runs")), "local")


def test_the_log_takes_our_records_until_it_is_closed(tmp_path: Path) -> None:
    folder = RunFolder.create(config(tmp_path), "local", NOON)
    with folder.log():
        logging.getLogger("hardware.host.local.device").info("worker replaced")
    logging.getLogger("hardware.host.local.device").info("too late")
    text = (folder.path / "run.log").read_text()
    assert "hardware.host.local.device: worker replaced" in text
    assert "too late" not in text


def test_environment_facts_hold_versions_and_the_commit() -> None:
    facts = environment_facts({"cpu": "test"})
    assert facts["device"] == {"cpu": "test"}
    assert any(line.startswith("numpy==") for line in facts["packages"])
    assert set(facts["git"]) == {"commit", "dirty"}
    json.dumps(facts)


def test_the_command_is_quoted_as_one_would_type_it() -> None:
    assert command_line("experiments.run", ["--output", "my runs"]) == (
        "python -m experiments.run --output 'my runs'"
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_on_a_full_disk_hides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "run.log").symlink_to("/dev/full")
    with folder.log():
        logging.getLogger("experiments").error("on a full disk")
    assert "Logging error" not in capsys.readouterr().err
    (tmp_path / "run.log").unlink()
    (tmp_path / "run.log").mkdir()
    with pytest.raises(RunFolderError, match=r"cannot write .*run\.log: Is a dir"), folder.log():
        pass
