"""Kept retrainings: a line of a file for each, so that none is done twice."""

from pathlib import Path

from experiments.bench.noise.retraining import Bench, Retraining
from experiments.errors import RunFolderError
from experiments.record.lines import append_line, cut_torn_line, whole_lines
from quant.allocation import Allocation
from quant.records.json_form import from_plain
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json


class KeptRetrainings:
    """Retrains what an earlier part has not, and keeps it."""

    def __init__(self, bench: Bench, path: Path | None) -> None:
        """Read what was kept; all-8 in order 0, which `bench` made anew, must be the same.

        Args:
            bench: Retrains.
            path: File of lines; None keeps none.

        Raises:
            RunFolderError: a line cannot be read, or the file is of another network, data,
                settings or machine.
        """
        self._bench, self._path = bench, path
        self._known = {(row.allocation, row.order): row for row in _read(path)}
        before = self._known.get((bench.all_8.allocation, 0))
        if before is None:
            if self._known:
                raise _other(path)
            self._keep(bench.all_8)
        elif before.score != bench.all_8.score:
            raise _other(path)

    def get(self, allocation: Allocation, order: int) -> Retraining:
        """Return an earlier part's, or retrain and keep it; see `Bench.retrain`."""
        if (allocation, order) not in self._known:
            self._keep(self._bench.retrain(allocation, order))
        return self._known[allocation, order]

    def _keep(self, row: Retraining) -> None:
        self._known[row.allocation, row.order] = row
        if self._path is not None:
            append_line(self._path, row)


def _read(path: Path | None) -> list[Retraining]:
    if path is None or not path.exists():
        return []
    cut_torn_line(path)
    rows = []
    for number, line in enumerate(whole_lines(read_regular(path)), 1):
        try:
            rows.append(from_plain(Retraining, parse_json(line)))
        except ValueError as error:
            raise RunFolderError(
                f"expected a retraining in line {number} of {path}, found {error}",
                "delete the line, and it is done again",
            ) from None
    return rows


def _other(path: Path | None) -> RunFolderError:
    return RunFolderError(
        f"expected retrainings like these in {path}, found that all-8 comes out otherwise there: "
        "of another network, data, settings, version or machine",
        "give another file to --json",
    )
