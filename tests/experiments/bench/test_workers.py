"""Workers of a cluster beside plain processes of the same trainings, small."""

import json
from pathlib import Path

import pytest
import torch

from experiments.bench import command as bench
from experiments.bench.workers.results import Round, WorkersBench
from experiments.terminal.exit_codes import DONE
from quant.records.json_form import to_plain

_SMALL = (
    *("--quiet", "--rounds", "2", "--each", "2", "--train.ray", "auto", "--train.workers", "2"),
    *("--env.finetune.steps", "2", "--env.finetune.compensation-images", "0"),
    *("--env.finetune.held-back-images", "50", "--env.finetune.no-range-test"),
    *("--task.epochs", "1"),
)


def test_shares_and_overheads_are_of_the_medians() -> None:
    rounds = tuple(
        Round(evaluations=16, plain_s=plain, cluster_s=cluster)
        for plain, cluster in ((8.0, 10.0), (9.0, 10.0), (10.0, 10.0))
    )
    found = WorkersBench(
        task="digits",
        workers=2,
        threads=1,
        cpus=2,
        rounds=rounds,
        trainings_s=(1.0,),
        overheads_s=(0.01, 0.03, 0.02),
    )
    document = to_plain(found)
    assert document["share"] == 0.9
    assert document["cluster_per_hour"] == 16 * 360
    assert document["plain_per_hour"] == 16 * 400
    assert document["overhead_median_s"] == 0.02
    assert document["overhead_of_3_s"] == pytest.approx(0.02 / 3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_both_do_the_same_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        file = tmp_path / "workers.json"
        assert bench.main(["workers", *_SMALL, "--json", str(file)]) == DONE
    finally:
        torch.set_num_threads(before)
    document = json.loads(file.read_text())
    assert [each["evaluations"] for each in document["rounds"]] == [4, 4]
    assert len(document["trainings_s"]) == 8
    assert len(document["overheads_s"]) == 8
    assert all(each > 0 for each in document["trainings_s"])
    assert "share of the plain processes'" in capsys.readouterr().out
