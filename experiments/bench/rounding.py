"""Rounding bench: what compensated rounding is worth, alone and before a retraining."""

import time
from dataclasses import dataclass, replace
from typing import Any

from pydantic import model_serializer
from rich import box
from rich.table import Table

from experiments.settings.run_config import RunConfig
from experiments.stages.network_setup import set_up_network
from experiments.stages.retraining import retrain_and_score
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation
from quant.objective.scores import Score
from quant.records.json_form import Plain

_IMAGES = 256
"""Images to compensate over where the configuration names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rounding:
    """One uniform allocation, made in one way."""

    bits: int
    compensation_images: int
    """0: weights are rounded to the nearest code."""
    steps: int
    """Steps of retraining."""
    score: Score
    """On the test split."""
    seconds: float
    """Of rounding, retraining and scoring."""

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {**plain(self), "test_score": self.score.value}


@dataclass(frozen=True, kw_only=True, slots=True)
class RoundingBench:
    """Uniform allocations, rounded both ways, without retraining and with it."""

    task: str
    seed: int
    rows: tuple[Rounding, ...]


def bench_rounding(config: RunConfig) -> RoundingBench:
    """Make every uniform allocation from the float checkpoint, and score it on the test split.

    Args:
        config: Names the task and the seed; `env.finetune` says how candidates are retrained.
    """
    finetune, rows = config.env.finetune, []
    ways = [
        (steps, images)
        for steps in dict.fromkeys((0, finetune.steps))
        for images in (0, finetune.compensation_images or _IMAGES)
    ]
    with LiveProgress(quiet=config.quiet) as progress:
        setup = set_up_network(config, progress)
        total = len(config.env.bit_choices) * len(ways)
        for bits in config.env.bit_choices:
            for steps, images in ways:
                final = replace(finetune, steps=steps, compensation_images=images)
                started = time.perf_counter()
                final_network = retrain_and_score(
                    replace(setup, config=replace(config, final=final)),
                    Allocation.uniform(setup.network.layers, bits),
                    setup.task.test,
                )
                rows.append(
                    Rounding(
                        bits=bits,
                        compensation_images=images,
                        steps=steps,
                        score=final_network.scores.score,
                        seconds=time.perf_counter() - started,
                    )
                )
                progress.stage("rounding", len(rows), total)
    return RoundingBench(task=config.task.name, seed=config.seed, rows=tuple(rows))


def draw_rounding(bench: RoundingBench) -> Table:
    """Draw a line for each width, a column for each way."""
    ways = dict.fromkeys((row.steps, row.compensation_images) for row in bench.rows)
    heading = bench.rows[0].score.metric.axis
    table = Table(
        box=box.SIMPLE,
        caption=f"{bench.task}, seed {bench.seed}: test {heading}; seconds of rounding, "
        "retraining and scoring",
        caption_justify="left",
    )
    table.add_column("uniform", no_wrap=True)
    for steps, images in ways:
        rounding = f"compensated, {images} images" if images else "nearest"
        table.add_column(f"{rounding}; {steps} steps", justify="right")
    for bits in dict.fromkeys(row.bits for row in bench.rows):
        cells = [
            f"{row.score.metric.number(row.score.value)} ({row.seconds:.1f} s)"
            for row in bench.rows
            if row.bits == bits
        ]
        table.add_row(f"{bits} bits", *cells)
    return table
