"""Result: what a search found, and what can be done with it."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.answer_budget import Predicted
from bitalloc.configuring import budget_config
from env.decisions.budget import BudgetConfig
from experiments.allocate.answer import allocate
from experiments.evaluate import evaluate
from experiments.export.command import export
from experiments.record import files
from experiments.record.result_row import ResultRow
from experiments.record.run_folder import RunFolder
from experiments.record.run_record import RunRecord
from experiments.settings.run_config import RunConfig
from experiments.stages.results_table import print_results
from experiments.terminal.progress import LiveProgress
from quant.allocation import Allocation

_COLUMNS = ("name", "score", "latency_ms", "model_bytes", "inside_budget")


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A finished search. Its folder has every figure, and outlives the process."""

    folder: Path
    """The run's folder, as `python -m experiments.run` writes it."""
    config: RunConfig = field(repr=False)

    @property
    def allocation(self) -> Allocation:
        """The chosen bits of every layer."""
        best = self._record.best
        assert best is not None  # a search that found nothing raised
        return best

    @property
    def table(self) -> Sequence[Mapping[str, Any]]:
        """The final table: float, uniform allocations, the best found; one mapping a row."""
        return self._record.rows

    @property
    def report(self) -> Path:
        """The page of the run."""
        return self.folder / files.REPORT

    def evaluate(self) -> list[ResultRow]:
        """Retrain the chosen bits longer, measure again, score on the test split; print a table.

        Raises:
            BitAllocError: the network cannot be trained or measured.
        """
        rows, budget = evaluate(RunFolder(self.folder), self.config)
        print_results(rows, budget, "test")
        return rows

    def allocate(self, budget: float | BudgetConfig) -> Predicted:
        """Return the best allocation inside another budget, by what the run learnt.

        Nothing is retrained or measured: every figure is predicted.

        Args:
            budget: A share of all-8-bit's latency, such as 0.6; or a `BudgetConfig`.

        Raises:
            BitAllocError: no allocation is inside, or the run has no model of its network.
        """
        return allocate(self._record, budget_config(budget))

    def export(self, path: Path | str, *, onnx_opset: int | None = None) -> Path:
        """Write the chosen network as a folder that runs with numpy and TVM's runtime alone.

        Args:
            path: The folder to make.
            onnx_opset: Write an ONNX model of this opset too; None for none.

        Raises:
            BitAllocError: the folder is there, or the run was simulated.
        """
        folder = Path(path)
        with LiveProgress(quiet=self.config.quiet) as progress:
            export(
                RunFolder(self.folder),
                self.config,
                folder,
                opset=onnx_opset,
                key=None,
                progress=progress,
            )
        return folder

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in _COLUMNS)
        rows = "".join(
            f"<tr>{''.join(f'<td>{_cell(row.get(name))}</td>' for name in _COLUMNS)}</tr>"
            for row in self.table
        )
        origin = f"latencies: {', '.join(self._record.sources)}; {self.folder}"
        return f"<table><tr>{head}</tr>{rows}</table><p>{html.escape(origin)}</p>"

    @property
    def _record(self) -> RunRecord:
        return RunRecord(self.folder)


def _cell(value: Any) -> str:
    return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))
