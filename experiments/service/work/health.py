"""Health: whether what a finished job found may be believed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.measure import GIVEN
from experiments.record.run_record import RunRecord
from experiments.service.folder import JobFolder
from experiments.service.store.job import Health
from experiments.service.work.command_lines import MEASURED
from quant.errors import BitAllocError
from quant.records.regular_file import read_regular

_STABLE = "stable"


def health_of(kind: str, folder: JobFolder, run: Path) -> Health:
    """Return the health of a job's result; unknown for kinds that have no verdict.

    Args:
        kind: The job's.
        folder: The job's.
        run: Folder of the run that it made or worked on.
    """
    try:
        if kind == "search":
            return _of_rows(RunRecord(run).results)
        if kind == "evaluate":
            return _of_rows(RunRecord(run).test_results)
        if kind == "measure":
            document = json.loads(read_regular(folder.path / MEASURED))
            verdict = document["measurements"][GIVEN]["verdict"]
            return Health.VALID if verdict == _STABLE else Health.UNSTABLE
    except (BitAllocError, OSError, ValueError, KeyError, TypeError):
        pass  # its file says more than we could
    return Health.UNKNOWN


def _of_rows(document: Mapping[str, Any] | None) -> Health:
    if document is None:
        return Health.UNKNOWN
    best = document["rows"][-1]
    if best["inside_budget"] is False:
        return Health.OUTSIDE_BUDGET
    return Health.VALID if best["verdict"] == _STABLE else Health.UNSTABLE
