"""Job: one thing that somebody asked the service for, and how far it has come."""

import json
import sqlite3
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where a job is; the health of its result is said apart."""

    QUEUED = "queued"
    WAITING_FOR_BOARD = "waiting_for_board"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self not in WAITING and self is not State.RUNNING


WAITING = (State.QUEUED, State.WAITING_FOR_BOARD)


class Health(StrEnum):
    """Whether a result may be believed; empty where there is none to judge."""

    UNKNOWN = ""
    VALID = "VALID"
    UNSTABLE = "unstable"
    OUTSIDE_BUDGET = "outside the budget"


class Fault(StrEnum):
    """Whose a failure is; empty where there is none."""

    NONE = ""
    USER = "user"
    SERVICE = "service"
    HARDWARE = "hardware"


@dataclass(frozen=True, kw_only=True, slots=True)
class NewJob:
    """A job as it is handed in, after everything in it was found possible."""

    id: str
    user: str
    request: dict[str, Any]
    """As the client sent it, with all defaults; the same request is the same document."""
    kind: str
    target: str
    """The one thing of which there is one at a time: this machine, or the tracker's key."""
    of: str = ""
    """Id of the job whose run this one works on; empty where it needs none."""
    priority: int
    wall_s: float
    memory_bytes: int
    evaluations: int
    """The most that it may ask for, which count against a user's day."""
    simulated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Job(NewJob):
    """A job of the store. Times are seconds since the epoch."""

    number: int
    state: State
    health: Health
    reason: str
    """Why it is where it is, in one sentence; empty where nothing is to be said."""
    hint: str
    fault: Fault
    cancelled: bool
    """Whether somebody asked for its end."""
    attempts: int
    """Processes that were started for it."""
    crashes: int
    """Of these, how many in a row ended in a way that nobody meant, with nothing new done."""
    losses: int
    """How often in a row its board went away, with nothing new done."""
    not_before_s: float
    """When it may be started again."""
    used_s: float
    """Seconds of its earlier attempts."""
    done: int
    """Evaluations that are finished."""
    read_bytes: int
    """How much of its `evaluations.jsonl` has become events."""
    created_s: float
    started_s: float | None
    """Of its first attempt."""
    ended_s: float | None

    @classmethod
    def of_row(cls, row: sqlite3.Row) -> "Job":
        """Read a row of the store."""
        values = {field.name: row[field.name] for field in fields(cls)}
        values["request"] = json.loads(values["request"])
        values["state"] = State(values["state"])
        values["health"] = Health(values["health"])
        values["fault"] = Fault(values["fault"])
        for name in ("cancelled", "simulated"):
            values[name] = bool(values[name])
        return cls(**values)
