"""Scale bench: what a search would cost past this machine."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import tyro
from pydantic import model_serializer

from env.evaluating.evaluation import Evaluation
from experiments.bench.scale.simulation import Simulated, Times, simulate
from experiments.errors import BenchError
from experiments.record.run_record import RunRecord
from experiments.settings.configured import ConfiguredOptions
from quant.records.json_form import Plain
from quant.records.ranges import Count, NotNegative, Positive, check_ranges
from quant.retraining.finetune_config import images_seen

_SEEDS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleOptions(ConfiguredOptions):
    """GPU hours and board minutes of a large search, and where more workers stop helping.

    Images are counted as runs count them (`env.finetune`). How times vary, and what the board and
    this process take, is drawn from the evaluations of a finished run. The defaults are ResNet-50
    on ImageNet. Nothing of it is measured: it says "simulated" wherever it is shown.
    """

    run: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Folder of the run whose times are drawn from."""
    simulate: bool = False
    """Also play the search event by event."""
    at: tuple[int, ...] = (1, 8, 64)
    """Numbers of workers."""
    search: Count = 200
    """Evaluations of the search."""
    proposals: int = 0
    """Allocations that the method proposes at once; 0 for twice as many as there are workers."""
    train_images: Count = 1_281_167
    """Images of the training split."""
    scored_images: Count = 50_000
    """Images of the search split."""
    images_s: Annotated[float, tyro.conf.arg(metavar="RATE")] = 0.0
    """Images a second of one worker, those that are trained on and those that are looked at alike;
    0 for the rate of the run's own network on its machine."""
    result_mb: NotNegative = 26.0
    """Megabytes that a worker returns of each: the integer network, and the scores."""
    link_mb_s: Positive = 110.0
    """Megabytes a second that reach this machine from all workers together."""
    ray_ms: NotNegative = 0.0
    """Milliseconds that Ray takes of this process for each, as `bench workers` measures them."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""

    def __post_init__(self) -> None:
        """Refuse counts and rates that are none, and a run that nobody named."""
        check_ranges(self, "--", BenchError)
        if min((*self.at, 1)) < 1 or not self.at or min(self.proposals, self.images_s) < 0:
            raise BenchError("--at, --proposals and --images-s: expected counts, found others")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScaleBench:
    """A search past this machine, by accounting; and as it was simulated."""

    run: str
    samples: int
    """Evaluations of the run that were drawn from."""
    evaluations: int
    images: int
    """That one evaluation looks at: retrained on, judged by and scored on."""
    images_s: float
    """Of one worker."""
    rate_from: str
    times: Times
    simulated: dict[int, tuple[Simulated, ...]]
    """By the number of workers; empty where nothing was simulated."""

    @property
    def train_hours(self) -> float:
        """Of all workers together."""
        return self.evaluations * self.images / self.images_s / 3600

    @property
    def board_minutes(self) -> float:
        """Of the board."""
        return self.evaluations * sum(self.times.board_s) / len(self.times.board_s) / 60

    @model_serializer(mode="wrap")
    def _document(self, plain: Plain) -> dict[str, Any]:
        return {
            **plain(self),
            "measured": False,
            "train_hours": self.train_hours,
            "board_minutes": self.board_minutes,
            "busiest": {
                workers: [each.busiest for each in found]
                for workers, found in self.simulated.items()
            },
        }


def bench_scale(options: ScaleOptions) -> ScaleBench:
    """Account for a search, and simulate it where that is asked for.

    Raises:
        BenchError: no run is named, or none of its evaluations was really retrained and measured.
        RunFolderError: the run cannot be read.
    """
    if options.run is None:
        raise BenchError(
            "--run: expected the folder of a finished run whose times are drawn from, found none"
        )
    paid = [each for each in RunRecord(options.run).evaluations if _was_paid(each)]
    if not paid:
        raise BenchError(
            f"--run: expected evaluations in {options.run} that were retrained and measured, found "
            "none"
        )
    finetune = options.config.env.finetune
    images = images_seen(finetune, options.train_images) + options.scored_images
    own_rate = median(each.training_samples / each.train_s for each in paid)
    rate = options.images_s or own_rate
    middle = median(each.train_s for each in paid)
    times = Times(
        train_s=tuple(images / rate * each.train_s / middle for each in paid),
        result_s=options.result_mb / options.link_mb_s,
        driver_s=tuple(each.build_s + options.ray_ms / 1000 for each in paid),
        board_s=tuple(each.measure_s for each in paid),
    )
    return ScaleBench(
        run=str(options.run),
        samples=len(paid),
        evaluations=options.search,
        images=images,
        images_s=rate,
        rate_from="as given" if options.images_s else "of the run's own network on its machine",
        times=times,
        simulated={
            workers: tuple(
                simulate(
                    times,
                    workers=workers,
                    evaluations=options.search,
                    proposals=options.proposals or 2 * workers,
                    seed=seed,
                )
                for seed in range(_SEEDS)
            )
            for workers in (options.at if options.simulate else ())
        },
    )


def _was_paid(evaluation: Evaluation) -> bool:
    """Whether it was retrained and measured, and not looked up."""
    return not evaluation.error and not evaluation.cached and evaluation.train_s > 0
