"""Made-up rows: three methods whose order is known."""

from collections.abc import Mapping

from experiments.compare.comparison import Comparison
from experiments.compare.plan import Plan
from experiments.compare.rows import Answer, Row, UniformRow
from quant.allocation import Allocation, LayerBits
from quant.objective.paired import PairedDifference

ALLOCATION = Allocation((("conv", LayerBits(weight_bits=4, activation_bits=8)),))


def answer(accuracy: float, ratio: float) -> Answer:
    return Answer(
        test_score=accuracy,
        test_score_se=0.01,
        latency_ms=2.0 * ratio,
        latency_iqr_ms=0.01,
        all_8_ms=2.0,
        model_bytes=100,
        allocation=ALLOCATION.to_dict(),
    )


def difference(score: float) -> PairedDifference:
    return PairedDifference(
        score=score,
        score_se=0.02,
        score_unpaired_se=0.03,
        loss=0.0,
        loss_se=0.1,
        loss_unpaired_se=0.1,
    )


def row(
    method: str,
    seed: int,
    budget: float,
    found: Answer | None,
    beside: Mapping[str, PairedDifference] | None = None,
) -> Row:
    return Row(
        method=method,
        seed=seed,
        budget=budget,
        budget_ms=1.0 + budget,
        answer=found,
        beside=beside or {},
        evaluations=24,
        training_samples=1000,
        device_s=1.5,
        wall_s=60.0,
        looked_up=3,
        error="" if found else "nothing inside",
    )


def comparison() -> Comparison:
    """`ppo` is always best, `random` second, and `uniform` has no answer to the small budget."""
    plan = Plan(methods=("uniform", "random", "ppo"), budgets=(0.1, 0.7), seeds=2, evaluations=24)
    rows = []
    for seed in range(plan.seeds):
        for budget in plan.budgets:
            ratio = 0.5 + 0.5 * budget
            scores = {"random": 0.85 + 0.01 * seed, "ppo": 0.90 + 0.01 * seed}
            if budget > 0.5:
                scores = {"uniform": 0.80, **scores}
            else:
                rows.append(row("uniform", seed, budget, None))
            before: dict[str, float] = {}
            for method, score in scores.items():
                beside = {name: difference(score - other) for name, other in before.items()}
                rows.append(row(method, seed, budget, answer(score, ratio), beside))
                before[method] = score
    uniform = tuple(
        UniformRow(bits=bits, seed=seed, answer=answer(0.8 + bits / 100, bits / 8))
        for bits in (8, 4)
        for seed in range(2)
    )
    return Comparison(
        plan=plan,
        task="made up",
        machine={"cpu": "none"},
        command="python -m experiments.compare",
        commit={"commit": None, "dirty": None},
        source="simulated",
        rows=tuple(rows),
        uniform=uniform,
        chance=0.1,
        test_images=1000,
        settings={},
    )
