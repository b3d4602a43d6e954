"""Measuring: fills the cells of one network, and chooses among rates."""

import math
import time
from collections.abc import Callable, Sequence

import torch

from env.evaluating.stored_accuracies import code_digest, network_digest
from env.tasks import Split
from experiments.stages.network_setup import NetworkSetup
from hardware.measuring.host_facts import standing_facts
from hardware.measuring.lock import training_lock
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrained import Kept
from tools.retraining_table.cells import FLOAT, Asked, Cell, Cells, Part, packed
from tools.retraining_table.trials import Trials, fake_quantized_hits, hits, integer_hits
from tools.retraining_table.ways import Way

Say = Callable[[str], None]


class Measuring:
    """Cells of one network: those on the disk, and the others when they are asked for."""

    def __init__(
        self,
        name: str,
        setup: NetworkSetup,
        cells: Cells,
        *,
        seeds: Sequence[int],
        search_images: int,
        commit: str,
        say: Say,
    ) -> None:
        """Keep the parts; nothing is trained yet.

        Args:
            name: Of the network.
            setup: The network and its data, as the main job sets them up.
            cells: Where finished ones are, and go.
            seeds: Of runs.
            search_images: How many of the search split choose among rates.
            commit: Written into new cells.
            say: Called with a sentence about each new cell.
        """
        self._name, self._cells, self._commit, self._say = name, cells, commit, say
        self._seeds, self._module = tuple(seeds), setup.module
        search = setup.task.search
        first = Split(images=search.images[:search_images], labels=search.labels[:search_images])
        self._splits: dict[Part, Split] = {"search": first, "test": setup.task.test}
        self._weights = network_digest(setup.network)[:16]
        self._trials = Trials(setup)

    def float_cell(self) -> Cell:
        """Return the float network on the test split."""
        asked = self._asked("test", bits=0, way=FLOAT, config=FinetuneConfig(steps=0), seed=0)
        return self._cells.get(asked) or self._fill(asked)

    def chosen(self, way: Way, bits: int) -> tuple[FinetuneConfig, float | None]:
        """Return a way's best variant on the search split, and its mean accuracy there, percent.

        A variant without others is not scored there: None.
        """
        if len(way.variants) == 1:
            return way.variants[0], None
        best, best_mean = way.variants[0], -math.inf
        for config in way.variants:
            cells = self._measured("search", way, bits, config)
            mean = sum(cell.accuracy for cell in cells) / len(cells)
            if mean > best_mean:
                best, best_mean = config, mean
        return best, best_mean

    def on_test(self, way: Way, bits: int, config: FinetuneConfig) -> list[Cell]:
        """Return a variant on the test split, for each seed where seeds matter."""
        return self._measured("test", way, bits, config)

    def forget_trained(self) -> None:
        """Free what was trained at a width that is done."""
        self._trials.forget()

    def _measured(self, part: Part, way: Way, bits: int, config: FinetuneConfig) -> list[Cell]:
        seeds = self._seeds if way.is_random else (0,)
        asked = [
            self._asked(part, bits=bits, way=way.name, config=config, seed=seed) for seed in seeds
        ]
        return [self._cells.get(one) or self._fill(one) for one in asked]

    def _asked(
        self, part: Part, *, bits: int, way: str, config: FinetuneConfig, seed: int
    ) -> Asked:
        return Asked(
            network=self._name,
            weights=self._weights,
            bits=bits,
            way=way,
            config=config,
            seed=seed,
            part=part,
            images=len(self._splits[part]),
        )

    def _fill(self, asked: Asked) -> Cell:
        started = time.perf_counter()
        with training_lock():
            found, kept, error = self._found(asked)
        cell = Cell(
            asked=asked,
            right=packed(found),
            correct=int(found.sum()),
            kept=kept,
            error=error,
            seconds=time.perf_counter() - started,
            code=code_digest(),
            commit=self._commit,
            cpu=standing_facts()["cpu"],
        )
        self._cells.add(cell)
        self._say(str(cell))
        return cell

    def _found(self, asked: Asked) -> tuple[torch.Tensor, Kept | None, str]:
        split = self._splits[asked.part]
        if asked.way == FLOAT:
            return hits(self._module, split), None, ""
        trial = self._trials.retrained(asked.bits, asked.config, asked.seed)
        score = integer_hits if asked.part == "test" else fake_quantized_hits
        return score(trial, split), trial.kept, trial.error
