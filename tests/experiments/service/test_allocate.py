"""Other budgets over HTTP: what the command says of the same run, or one sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx.helper import make_node

from agents.judging.beliefs import beliefs_of
from agents.methods import METHODS
from agents.testing import LOUD, calibrated_prior, draw_world
from bitalloc.command import main
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.service.client.client import RefusalError
from experiments.service.folder import JobFolder
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from quant.records.json_form import to_plain
from tests.env.tasks.onnx_network.agreement import write
from tests.experiments.run_folders import make_run
from tests.experiments.service.here import FOR_A_BOARD, Here


def add_run(here: Here, id: str, *, policy: str | None) -> JobFolder:
    """Hand in a search, and put a finished run in its place; simulated."""
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id=id)
        client.cancel(id)
    folder: JobFolder = here.service.folder.job(id)
    run = make_run(folder.path / JobFolder.RUNS)
    best = RunRecord(run.path).best
    assert best is not None
    run.write_json(files.BEST_ALLOCATION, best)
    if policy is not None:
        world = draw_world(LOUD, 3)
        problem = world.problem(share=0.3, limit=6, seed=0, prior=calibrated_prior(LOUD))
        method = METHODS["bayes"]
        posterior = method.search(problem, method.defaults(), seed=0).posterior
        assert posterior is not None
        run.write_json(files.BELIEFS, beliefs_of(problem, posterior, policy))
    return folder


def described() -> dict[str, Any]:
    """Return a network as `beliefs.json` of a run has one."""
    world = draw_world(LOUD, 3)
    problem = world.problem(share=0.3, limit=6, seed=0, prior=calibrated_prior(LOUD))
    return {"layers": to_plain(problem.layers), "table": to_plain(problem.table)}


def small_onnx(folder: Path) -> Path:
    """Write a network of two layers."""
    rng = np.random.default_rng(0)
    nodes = [
        make_node("Conv", ["x", "conv.weight"], ["a"]),
        make_node("Relu", ["a"], ["b"]),
        make_node("Conv", ["b", "next.weight"], ["y"]),
    ]
    values = {
        "conv.weight": rng.normal(size=(4, 2, 3, 3)).astype(np.float32),
        "next.weight": rng.normal(size=(3, 4, 3, 3)).astype(np.float32),
    }
    return write(folder / "n.onnx", nodes, values, [1, 2, 8, 8], opset=13)


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Return what `bitalloc allocate` prints as JSON."""
    assert main(["allocate", *words, "--json"]) == DONE
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("policy", ["", "shipped"])
def test_it_answers_what_the_command_answers(
    known: Here, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"answers{policy}"
    folder = add_run(known, name, policy=policy)
    budget = ("--budget.latency-ratio", "0.6")
    found = typed(capsys, str(folder.run), *budget)
    with known.client() as client:
        answer = client.allocate(name, latency_ratio=0.6)
    assert answer.pop("job") is None
    assert answer == found
    assert answer["predicted"] is True
    assert answer["policy"] == policy
    assert typed(capsys, "--job", name, *budget) == found
    assert typed(capsys, "--job", name, "--server", known.url, *budget) == found
    for words in ([str(folder.run)], ["--job", name]):
        assert main(["allocate", *words, *budget]) == DONE
    shown = capsys.readouterr().out
    half = len(shown) // 2
    assert shown[:half] == shown[half:]


@pytest.mark.parametrize("kind", ["layers", "onnx"])
def test_a_service_says_of_a_file_what_this_machine_says(
    known: Here, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "onnx":
        file = small_onnx(tmp_path)
        words = ["--budget.model-bytes-ratio", "0.8"]
    else:
        file = tmp_path / "network.json"
        file.write_text(json.dumps(described()))
        words = ["--bit-choices", "2", "4", "8", "--budget.latency-ratio", "0.7"]
    words = ["--network", str(file), *words]
    here = typed(capsys, *words)
    assert here["score"] is None
    assert typed(capsys, *words, "--server", known.url) == here
    assert typed(capsys, *words, "--target", "this machine") == here
    assert main(["allocate", *words, "--server", known.url]) == DONE
    assert "for a network that nobody searched" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs/latest", "--job", "a"], "a folder of this machine"),
        (["--job", "a", "--like", "runs/latest"], "a folder of this machine"),
        (["--job", "a", "--network", "b.json"], "one of --job and --network"),
        (["--target", "pi"], "one of --job and --network"),
        (["--job", "a"], "found none"),
        (["--job", "a", "--budget.accuracy-drop", "0.1"], "accuracy_drop"),
        (["--job", "nobodys", "--budget.latency-ratio", "0.5"], "no job nobodys"),
        (["--target", "x", "--network", "no.onnx", "--budget.model-bytes", "9"], "cannot read"),
    ],
)
def test_what_a_service_cannot_be_asked_is_one_sentence(
    known: Here, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["allocate", *words]) == USER_MISTAKE
    assert said in capsys.readouterr().err


def test_what_cannot_be_answered_is_one_sentence(here: Here) -> None:
    add_run(here, "scores", policy=None)
    add_run(here, "believes", policy="")
    with here.client() as client:
        for job, budget, said in (
            ("scores", {"latency_ratio": 0.6}, "whose answer is a model's"),
            ("believes", {"latency_ratio": 0.001}, "no allocation of bits is expected inside"),
            ("believes", {}, "found none"),
            ("believes", {"energy_ratio": 0.5}, "no energy meter"),
            ("believes", {"latency_ratio": 0.5, "latency_ms": 1.0}, "both set"),
            ("nobodys", {"latency_ratio": 0.6}, "no job nobodys"),
        ):
            with pytest.raises(RefusalError, match=said) as refused:
                client.allocate(job, **dict[str, Any](budget))
            assert refused.value.status < 500
        client.submit("search", FOR_A_BOARD, id="waiting")
        with pytest.raises(RefusalError, match="expected a search that has ended well"):
            client.allocate("waiting", latency_ratio=0.6)
        client.cancel("waiting")


def test_a_network_that_is_described_is_answered_at_once_and_verified_by_a_job(here: Here) -> None:
    network = described()
    asked: Any = {"network": network, "bit_choices": [2, 4, 8], "latency_ratio": 0.7}
    with here.client() as client:
        found = client.allocate(**asked)
        assert found["predicted"] is True
        assert (found["score"], found["job"], found["evaluations"]) == (None, None, 0)
        assert found["times"] == "measured"
        assert found["distance"]["deviations"] > 0
        assert found["lost"] > 0
        assert client.allocate(**asked) == found
        settings = dict(FOR_A_BOARD)
        verified = client.allocate(**asked, verify=True, settings=settings, id="verifies")
        job = client.job(verified["job"])
        assert (job["kind"], job["target"]) == ("measure", "pi")
        assert job["request"]["allocation"] == found["allocation"]
        client.cancel("verifies")
    answer = here.ask(
        "POST", "/v1/allocate", json={**asked, "verify": True, "settings": settings, "id": "again"}
    )
    assert answer.status_code == 202
    here.ask("POST", "/v1/jobs/again/cancel")


def test_an_uploaded_network_is_answered_for(here: Here, tmp_path: Path) -> None:
    file = small_onnx(tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with here.client() as client:
        name = client.upload(file)
        found = client.allocate(network=name, model_bytes_ratio=0.8)
        assert list(found["allocation"]["layers"]) == ["conv", "next"]
        assert "formula" in found["times"]
        bad = client.upload(tmp_path / "bad.onnx")
        for network, said in (
            (bad, "ONNX"),
            ("sha256:" + "0" * 64, "no upload"),
            ("n.onnx", "expected sha256:DIGEST"),
            ({"layers": []}, "expected 1 to 1,000"),
        ):
            with pytest.raises(RefusalError, match=said) as refused:
                client.allocate(network=network, model_bytes_ratio=0.8)
            assert refused.value.status == 422
        with pytest.raises(RefusalError, match="one of job and network"):
            client.allocate(model_bytes_ratio=0.8)
