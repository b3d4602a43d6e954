"""A run folder written by the real writers from hand-made evaluations, in no time."""

from dataclasses import replace
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from env.decisions.budget import Budget
from env.evaluating.evaluation import Evaluation
from experiments.record.result_row import ResultRow
from experiments.record.run_folder import RunFolder, write_config
from experiments.settings.run_config import RunConfig
from experiments.stages.event_log import EventLog
from experiments.stages.results_table import quantized_row
from hardware.layers.table import LayerTable
from quant.allocation import Allocation, LayerBits
from quant.records.json_form import to_plain
from tests.experiments.evaluations import evaluation

BUDGET = Budget(latency_ms=0.09)
WIDTHS = (2, 4, 8)


def make_run(
    root: Path, *, layers: tuple[str, ...] = ("first", "second"), last_weights: int = 2
) -> RunFolder:
    """Write a finished, simulated run: four evaluations, one of them failed.

    Args:
        root: Where runs are.
        layers: Of the network.
        last_weights: Bits of the last layer's weights in the best; `FLOAT_BITS` is in the table.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = RunFolder.create(RunConfig(output=str(root)), "simulated", now=0.0)
    begin(folder)
    done = evaluations(layers, last_weights)
    for item in done:
        folder.append_evaluation(item)
    table = LayerTable(
        times_us={
            layer: {(w, a): 3.0 + w + 0.5 * a for w in {*WIDTHS, last_weights} for a in WIDTHS}
            for layer in layers
        },
        overhead_us=1.25,
        source="simulated",
        disturbed_share=0.0,
    )
    folder.write_json("layer_table.json", to_plain(table))
    with EventLog(folder.events) as events:
        for step, item in enumerate(done, start=1):
            events.scalars({"evaluation/accuracy": item.score}, step)
            events.scalars({"practice/accuracy": 0.9, "practice/episodes": 8.0 * step}, 72 * step)
    budget = {"latency_ms": BUDGET.latency_ms, "model_bytes": BUDGET.model_bytes}
    folder.write_json("budget.json", {**budget, "reason": "as asked"})
    folder.write_json("results.json", results(done))
    return folder


def begin(folder: RunFolder) -> None:
    """Write what a run writes before its first evaluation."""
    write_config(folder, RunConfig())
    folder.write_text("command.txt", "python -m experiments.run --seed 0")
    facts = {"python": "3.11", "device": {"cpu": "simulated"}, "packages": ["numpy==2.2"]}
    folder.write_json("environment.json", facts)


def evaluations(layers: tuple[str, ...], last_weights: int = 2) -> list[Evaluation]:
    """Return uniform 8 and 4, one with mixed bits, and one that failed."""
    mixed = dict.fromkeys(layers, LayerBits(weight_bits=4, activation_bits=4))
    mixed[layers[-1]] = LayerBits(weight_bits=last_weights, activation_bits=8)
    made = [
        evaluation(0, _uniform(layers, 8), score=0.9912, latency_ms=0.1234, model_bytes=8000),
        evaluation(1, _uniform(layers, 4), score=0.9634, latency_ms=0.0712, model_bytes=4000),
        evaluation(2, Allocation.of(mixed), score=0.9756, latency_ms=0.0689, model_bytes=3500),
        evaluation(3, _uniform(layers, 2), score=0.1, latency_ms=None, model_bytes=2000),
    ]
    return [replace(item, proposer="ppo" if item.index == 2 else "uniform") for item in made]


def results(done: list[Evaluation]) -> dict[str, object]:
    """Return the document of `results.json` in which the third evaluation is the best."""
    chosen = done[2]
    assert chosen.measurement is not None
    rows = [
        ResultRow(name="float", score=0.9923, score_se=0.004, model_bytes=32000),
        _row("uniform 8", done[0]),
        _row("uniform 4", done[1]),
        _row("best found", chosen),
    ]
    return {
        "split": "search",
        "budget": {"latency_ms": BUDGET.latency_ms, "model_bytes": BUDGET.model_bytes},
        "budget_reason": "as asked",
        "evaluations": len(done),
        "seconds": 66.0,
        "rows": [to_plain(row) for row in rows],
        "best": {
            "evaluation": chosen.index,
            "proposer": chosen.proposer,
            "allocation": chosen.allocation.to_dict(),
            "measurement": to_plain(chosen.measurement),
        },
        "missed_the_budget": [],
    }


def _row(name: str, item: Evaluation) -> ResultRow:
    return quantized_row(
        name,
        item.allocation,
        metric=item.metric,
        score=item.score,
        score_se=item.score_se,
        beside_reference=item.beside_reference,
        kept="trained",
        model_bytes=item.model_bytes,
        measurement=item.measurement,
        budget=BUDGET,
    )


def _uniform(layers: tuple[str, ...], bits: int) -> Allocation:
    both = LayerBits(weight_bits=bits, activation_bits=bits)
    return Allocation.of(dict.fromkeys(layers, both))


def image_tags(folder: Path) -> set[str]:
    """Return the tags of all pictures below a folder of event files."""
    tags: set[str] = set()
    for file in folder.rglob("events.out.tfevents.*"):
        accumulator = EventAccumulator(str(file))
        accumulator.Reload()
        tags.update(accumulator.Tags()["images"])
    return tags
