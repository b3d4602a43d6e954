"""AMED trains one network at bits that it keeps sampling, and never leaves the budget."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agents.amed.amed import search
from agents.amed.chain import AMEDChain
from agents.amed.config import AMEDConfig
from agents.costs.relative_cost import RelativeCost
from agents.costs.spending import spending_of
from agents.search import SearchProblem
from env.errors import TaskError
from env.evaluating.evaluation import Evaluation
from quant.allocation import Allocation
from quant.retraining.finetune_config import FinetuneConfig

QUICK = AMEDConfig(
    samples=4,
    finetune=FinetuneConfig(steps=2, compensation_images=0, held_back_images=0),
    validation_images=64,
)
Problems = Callable[..., SearchProblem]


def summary(evaluations: list[Evaluation]) -> list[tuple[Allocation, float, str]]:
    return [(e.allocation, e.score, e.proposer) for e in evaluations]


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_to_the_bit(problems: Problems, tmp_path: Path) -> None:
    whole = problems(limit=7)
    search(whole, QUICK, seed=1)
    done = summary(whole.evaluator.evaluations)
    assert [proposer for *_, proposer in done].count("amed") == 3
    killed = problems(limit=7, state_folder=tmp_path)
    paid = 0

    def die(evaluation: Evaluation) -> None:
        nonlocal paid
        paid += 1
        if evaluation.index == 5:
            raise KeyboardInterrupt

    killed.evaluator.on_evaluation.append(die)
    with pytest.raises(KeyboardInterrupt):
        search(killed, QUICK, seed=1)
    past = killed.evaluator.evaluations
    again = problems(limit=7, state_folder=tmp_path, past=past)
    again.evaluator.on_evaluation.append(lambda evaluation: die(evaluation))
    search(again, QUICK, seed=1)
    assert summary(again.evaluator.evaluations) == done
    assert paid == 6, "the reference is evaluated before anybody listens, all others once"
    assert again.ledger.training_samples == whole.ledger.training_samples


def test_without_its_file_the_chain_begins_again_and_pays_nothing_twice(
    problems: Problems, tmp_path: Path
) -> None:
    first = problems(limit=5, state_folder=tmp_path)
    search(first, QUICK, seed=1)
    (tmp_path / "amed.safetensors").write_bytes(b"torn")
    again = problems(limit=6, state_folder=tmp_path, past=first.evaluator.evaluations)
    fresh: list[Evaluation] = []
    again.evaluator.on_evaluation.append(fresh.append)
    search(again, QUICK, seed=1)
    assert len(fresh) == 1
    allocations = [e.allocation for e in again.evaluator.evaluations]
    assert len(set(allocations)) == len(allocations) == 6


def test_every_sample_is_inside_and_trains_the_network(problems: Problems) -> None:
    problem = problems(limit=9, share=0.3, bytes_share=0.5)
    chain, spending = AMEDChain(problem, QUICK, seed=0), spending_of(problem)
    before = {n: v.clone() for n, v in problem.prepare().state_dict().items()}
    assert chain.propose(6, []) is not None
    assert all(spending.inside(np.array(choices)) for choices in chain._tried)
    assert chain._samples == 6
    assert int(chain._network.trained_steps) == 12
    weights = [n for n in before if n.endswith("weight")]
    assert all((chain._network.state_dict()[n] != before[n]).any() for n in weights)


def test_the_penalty_begins_at_the_threshold(problems: Problems) -> None:
    """With every weight of the score on accuracy, a sample above the threshold loses nothing."""
    never = AMEDConfig(
        samples=1, finetune=QUICK.finetune, loss_weight=0.0, penalty=10.0, accuracy_drop=1.0
    )
    always = AMEDConfig(
        samples=1, finetune=QUICK.finetune, loss_weight=0.0, penalty=10.0, accuracy_drop=0.0
    )
    scores = []
    for config in (never, always):
        problem = problems(limit=9, share=0.05)
        chain = AMEDChain(problem, config, seed=0)
        chain.propose(1, [])
        ((choices, score),) = chain._tried.items()
        scores.append(score)
        relative = RelativeCost(problem, "budget").predict(
            spending_of(problem).allocation(np.array(choices))
        )
        if config is never:
            assert score == pytest.approx(-np.log10(relative))
        else:
            lost = problem.reference.score - chain._validate(chain._network).value
            assert score == pytest.approx(-np.log10(relative) - 10.0 * max(0.0, lost))
    assert scores[1] <= scores[0]


@pytest.mark.parametrize(
    "wrong",
    [{"samples": 0}, {"temperature": 0.0}, {"averaging": 1.5}, {"penalty": -1.0}],
)
def test_wrong_values_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(TaskError, match=f"amed.{next(iter(wrong))}"):
        AMEDConfig(**wrong)  # type: ignore[arg-type]
