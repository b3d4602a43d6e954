"""ServiceFolder: where everything of the service lies. A copy of the folder is a whole backup."""

import os
from dataclasses import dataclass
from pathlib import Path


def usual_folder() -> Path:
    """Return where a service keeps things where nobody says."""
    root = os.environ.get("XDG_DATA_HOME", "") or Path("~/.local/share").expanduser()
    return Path(root, "bitalloc", "service")


@dataclass(frozen=True, slots=True)
class ServiceFolder:
    """Names the places in one folder."""

    path: Path

    @property
    def database(self) -> Path:
        """Jobs, events, tokens, uploads."""
        return self.path / "service.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the one server of the folder."""
        return self.path / "lock"

    @property
    def log(self) -> Path:
        """A line of JSON for each thing that the server did."""
        return self.path / "service.log"

    def job(self, name: str) -> "JobFolder":
        """Return the places of one job."""
        return JobFolder(self.path / "jobs" / name)

    def uploads(self, kind: str) -> Path:
        """Return where uploads of a kind lie, `data` or `networks`."""
        return self.path / kind


@dataclass(frozen=True, slots=True)
class JobFolder:
    """Names the places of one job. Its process works here, and names what it can from here."""

    path: Path

    STORE = Path("..", "..", "store.sqlite")
    """Measurements of all jobs, as a job names them."""
    RUNS = Path("runs")
    BUNDLE = Path("bundle")
    COMPARISON = Path("comparison")

    @property
    def lock(self) -> Path:
        """Held by the keeper of the job's process."""
        return self.path / "keeper.lock"

    @property
    def order(self) -> Path:
        """What the keeper is to start, and within which limits."""
        return self.path / "order.json"

    @property
    def started(self) -> Path:
        """Who the keeper and its process are."""
        return self.path / "started.json"

    @property
    def ended(self) -> Path:
        """How the process ended, once it has."""
        return self.path / "ended.json"

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.path / "job.log"

    @property
    def config(self) -> Path:
        """The configuration that the job starts from."""
        return self.path / "config.yaml"

    @property
    def run(self) -> Path:
        """The one run of a search, wherever `latest` points; it need not be there yet."""
        return self.path / self.RUNS / "latest"
