"""Other budgets over HTTP: what the command says of the same run, or one sentence."""

import pytest

from agents.judging.beliefs import beliefs_of
from agents.methods import METHODS
from agents.testing import LOUD, calibrated_prior, draw_world
from env.decisions.budget import BudgetConfig
from experiments.allocate import allocate
from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.service.client.client import RefusalError
from experiments.service.folder import JobFolder
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


@pytest.mark.parametrize("policy", ["", "shipped"])
def test_it_answers_what_the_command_answers(here: Here, policy: str) -> None:
    folder = add_run(here, f"answers{policy}", policy=policy)
    found = allocate(RunRecord.open(folder.run, finished=True), BudgetConfig(latency_ratio=0.6))
    with here.client() as client:
        answer = client.allocate(f"answers{policy}", latency_ratio=0.6)
    assert answer["predicted"] is True
    assert answer["policy"] == policy
    assert answer["allocation"] == found.allocation.to_dict()
    assert answer["latency_ms"] == pytest.approx(found.latency_ms)


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
                client.allocate(job, **budget)
            assert refused.value.status < 500
        client.submit("search", FOR_A_BOARD, id="waiting")
        with pytest.raises(RefusalError, match="expected a search that has ended well"):
            client.allocate("waiting", latency_ratio=0.6)
        client.cancel("waiting")
