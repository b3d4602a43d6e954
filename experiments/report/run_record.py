"""RunRecord: what a page needs of one run folder, finished or not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from env.evaluating.evaluation import Evaluation
from experiments.errors import RunFolderError
from experiments.record.curves import Curve, read_curves
from experiments.record.islands import ISLANDS, ListedIsland
from hardware.energy.energy import NO_METER
from hardware.layers.table import LayerTable
from quant.allocation import Allocation

__all__ = ["RunRecord", "read_record"]

_HINT = "give a folder that python -m experiments.run printed, for example runs/latest"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run as its files tell it. None stands for a file that is not written yet."""

    path: Path
    config_text: str
    config: Mapping[str, Any]
    command: str
    environment: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]
    curves: Mapping[str, Curve]
    table: LayerTable | None
    islands: tuple[ListedIsland, ...]
    """What stays in float; none where everything has an integer form."""
    results: Mapping[str, Any] | None
    """Content of `results.json`; None while the run goes on or after it was stopped."""
    budget: Mapping[str, Any] | None
    """Content of `budget.json`: `latency_ms`, `model_bytes`, `energy_mj` and the `reason`."""
    test_results: Mapping[str, Any] | None
    """Content of `evaluate.json`, once `experiments.evaluate` was run."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def sources(self) -> tuple[str, ...]:
        """Where latencies come from: `measured`, `simulated`, `emulated`; sorted, each once."""
        found = {item.measurement.source for item in self.evaluations if item.measurement}
        if self.table is not None:
            found.add(self.table.source)
        return tuple(sorted(found))

    @property
    def energy_source(self) -> str:
        """Where energies come from: a kind of meter, `modelled` or `none`."""
        found = [item.measurement.energy_source for item in self.evaluations if item.measurement]
        if self.table is not None:
            found.append(self.table.energy_source)
        return next((source for source in found if source != NO_METER), NO_METER)

    @property
    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """The rows of the final table; none before the run has ended."""
        return () if self.results is None else tuple(self.results["rows"])

    @property
    def budget_ms(self) -> float | None:
        """The latency budget, where the run has decided one."""
        return None if self.budget is None else self.budget["latency_ms"]

    @property
    def best(self) -> Allocation | None:
        """The chosen allocation; None before the run has ended."""
        if self.results is None:
            return None
        return Allocation.from_dict(self.results["best"]["allocation"])


def read_record(path: Path) -> RunRecord:
    """Read a run folder.

    Raises:
        RunFolderError: no such folder, not a run's, or one of its files is damaged.
    """
    if not path.is_dir():
        raise RunFolderError(f"{path}: expected the folder of a run, found no folder", _HINT)
    if not (path / "config.yaml").is_file():
        raise RunFolderError(f"{path} is not the folder of a run: it has no config.yaml", _HINT)
    path = path.resolve()
    text = _text(path / "config.yaml")
    try:
        config = yaml.safe_load(text)
        table = _json(path / "layer_table.json")
        record = RunRecord(
            path=path,
            config_text=text,
            config=config if isinstance(config, dict) else {},
            command=_text(path / "command.txt").strip(),
            environment=_json(path / "environment.json") or {},
            evaluations=_evaluations(path / "evaluations.jsonl"),
            curves=_curves(path / "tb"),
            table=None if table is None else LayerTable.from_dict(table),
            islands=tuple(map(ListedIsland.from_dict, _json(path / ISLANDS) or ())),
            results=_json(path / "results.json"),
            budget=_json(path / "budget.json"),
            test_results=_json(path / "evaluate.json"),
        )
        _touch(record)
    except (KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        raise RunFolderError(
            f"{path}: a file of the run is damaged or of another version: {error!r}"
        ) from None
    return record


def _touch(record: RunRecord) -> None:
    """Look once at what the page will look at, so that damage shows while it can be named."""
    _ = record.best, record.budget_ms, [row["name"] for row in record.rows]


def _evaluations(path: Path) -> tuple[Evaluation, ...]:
    """Read the finished evaluations; a last line without its end was cut off by a kill."""
    lines = _text(path).split("\n")[:-1]
    return tuple(Evaluation.from_dict(json.loads(line)) for line in lines if line)


def _curves(folder: Path) -> Mapping[str, Curve]:
    try:
        return read_curves(folder)
    except RunFolderError:
        return {}  # no events yet: the page says that there are no curves


def _json(path: Path) -> Any:
    text = _text(path)
    return json.loads(text) if text else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror or error}") from None
