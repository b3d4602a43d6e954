"""What the operator decides: where the service keeps things, what it allows, and how much."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from experiments.service.store.jobs import Quotas

PORT = 8437
_HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """What a job may name beside what BitAlloc brings."""

    functions: frozenset[str] = frozenset()
    """`package.module:function` that may be called as a network, as data, as a loss or a metric."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Folders of data by the name that a job gives for them."""
    modules: Path | None = None
    """Folder in which the functions' modules are; None where they are installed."""
    network: bool = False
    """Whether jobs on this machine have a network; those on boards do."""
    tracker: str = ""
    """HOST:PORT of the tracker whose boards may be used; empty for none."""
    ray: str = ""
    """HOST:PORT of the Ray cluster whose machines may retrain; empty for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much of everything."""

    wall_s: float = 24 * _HOUR_S
    """The longest that a job may run, all its attempts together."""
    memory_bytes: int = int(0.8 * psutil.virtual_memory().total)
    """The most resident memory of a job's processes together."""
    evaluations: int = 2_000
    """The most of one job."""
    body_bytes: int = 1 << 20
    """Of a request that is no upload."""
    upload_bytes: int = 1 << 29
    uploads_kept_s: float = 30 * 24 * _HOUR_S
    """How long an upload that no job uses stays."""
    jobs_kept_s: float = 0.0
    """How long a job that is over stays with its files; 0 for ever."""
    body_s: float = 30.0
    """The longest wait for the next piece of a request."""
    streams: int = 800
    """Open event streams of all users together."""
    quotas: Quotas = field(
        default_factory=lambda: Quotas(queued=200, running=2, evaluations_a_day=5_000)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSettings:
    """Everything that the operator decides."""

    folder: Path
    """All that the service keeps."""
    allowed: Allowed = field(default_factory=Allowed)
    limits: Limits = field(default_factory=Limits)
    tensorboard: bool = False
    """Whether a TensorBoard runs beside the server."""
