"""Jobs: every job with its events; each change of a job and its event are one transaction."""

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.service.errors import IdTakenError, NoJobError, NotNowError, QuotaError
from experiments.service.store.database import Database
from experiments.service.store.job import WAITING, Job, NewJob, State
from hardware.store import canonical_json
from quant.records.json_form import json_text

_DAY_S = 24 * 3600.0
_NEW = (
    *("id", "user", "request", "kind", "target", "of", "priority", "wall_s", "memory_bytes"),
    *("evaluations", "simulated"),
)
_WAITING = ", ".join(f"'{state}'" for state in WAITING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to a job; `number` counts from 1 within the job."""

    number: int
    at_s: float
    kind: str
    """`state`, `evaluation`."""
    document: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quotas:
    """What one user may have of the service; operators have no such limits."""

    queued: int
    running: int
    evaluations_a_day: int


class Jobs:
    """The jobs of a database. Whoever listens hears the number of each job that changes."""

    def __init__(self, database: Database, heard: Callable[[int], None] = lambda number: None):
        """Use a database; `heard` is called, from any thread, when an event is on the disk."""
        self._database = database
        self.heard = heard

    def add(self, new: NewJob, quotas: Quotas | None) -> tuple[Job, bool]:
        """Add a job, once: the same request under the same id is the job that is there.

        Args:
            new: The job.
            quotas: Of its user; None for none.

        Returns:
            The job, and whether it is new.

        Raises:
            IdTakenError: the id is another request's or another user's.
            QuotaError: the user has as much as one may have.
        """
        now = time.time()
        values = [getattr(new, name) for name in _NEW]
        values[_NEW.index("request")] = canonical_json(new.request)
        with self._database.writing() as connection:
            found = connection.execute("SELECT * FROM jobs WHERE id = ?", (new.id,)).fetchone()
            if found is not None:
                return _same(found, new.user, new.request), False
            if quotas is not None:
                _check_quotas(connection, new, quotas, now)
            names, marks = ", ".join(_NEW), ", ".join("?" * len(_NEW))
            number = connection.execute(
                f"INSERT INTO jobs ({names}, state, created_s) VALUES ({marks}, ?, ?)",
                (*values, State.QUEUED, now),
            ).lastrowid
            assert number is not None
            _tell(connection, number, "state", {"state": State.QUEUED}, now)
            job = Job.of_row(_read(connection, number))
        self.heard(number)
        return job, True

    def known(self, user: str, request: Mapping[str, Any]) -> Job | None:
        """Return the job that a request made before; None where nothing has its id.

        Args:
            user: Who asks.
            request: As `NewJob.request` is.

        Raises:
            IdTakenError: the id is another request's or another user's.
        """
        row = self._database.row("SELECT * FROM jobs WHERE id = ?", (request["id"],))
        return None if row is None else _same(row, user, request)

    def get(self, name: str, user: str | None = None) -> Job:
        """Return a job by its id.

        Args:
            name: The id.
            user: Whose it must be; None for anybody's.

        Raises:
            NoJobError: there is none.
        """
        row = self._database.row("SELECT * FROM jobs WHERE id = ?", (name,))
        if row is None or (user is not None and row["user"] != user):
            raise NoJobError(name)
        return Job.of_row(row)

    def find(
        self,
        *,
        user: str | None = None,
        states: Collection[State] = (),
        after: int = 0,
        limit: int = -1,
    ) -> list[Job]:
        """Return jobs in the order in which they came.

        Args:
            user: Whose; None for everybody's.
            states: Which; none for all.
            after: The number of the last job of the page before.
            limit: Most that are returned; -1 for all.
        """
        where, values = ["number > ?"], [after, *map(str, states)]
        if states:
            where.append(f"state IN ({', '.join('?' * len(states))})")
        if user is not None:
            where.append("user = ?")
            values.append(user)
        rows = self._database.rows(
            f"SELECT * FROM jobs WHERE {' AND '.join(where)} ORDER BY number LIMIT ?",
            (*values, limit),
        )
        return [Job.of_row(row) for row in rows]

    def of(self, name: str) -> list[Job]:
        """Return the jobs that work on a job's run."""
        rows = self._database.rows("SELECT * FROM jobs WHERE of = ? ORDER BY number", (name,))
        return [Job.of_row(row) for row in rows]

    def newest_of(self, user: str | None, limit: int) -> list[Job]:
        """Return a user's newest jobs, the newest first; everybody's for None."""
        rows = self._database.rows(
            "SELECT * FROM jobs WHERE ? IS NULL OR user = ? ORDER BY number DESC LIMIT ?",
            (user, user, limit),
        )
        return [Job.of_row(row) for row in rows]

    def newest(self) -> list[Job]:
        """Return the job that was started last on each target."""
        rows = self._database.rows(
            "SELECT *, max(started_s) FROM jobs WHERE started_s IS NOT NULL GROUP BY target"
        )
        return [Job.of_row(row) for row in rows]

    def last_starts(self) -> dict[str, float]:
        """Return when each user's newest start was."""
        rows = self._database.rows(
            "SELECT user, max(started_s) AS last FROM jobs "
            "WHERE started_s IS NOT NULL GROUP BY user"
        )
        return {row["user"]: row["last"] for row in rows}

    def change(
        self,
        job: Job,
        state: State | None = None,
        *,
        only_from: Collection[State] = tuple(State),
        events: Sequence[tuple[str, Mapping[str, Any]]] = (),
        counted: Callable[[sqlite3.Connection], None] = lambda connection: None,
        **values: Any,
    ) -> Job:
        """Change a job and write what happened; return it as it is then.

        Args:
            job: The job.
            state: The state that it gets, with an event of its own; None for the one it has.
            only_from: The states that it may be in now.
            events: What else happened, by kind; before the change of the state.
            counted: Does more in the same transaction.
            values: Columns.

        Raises:
            NotNowError: the job is in another state.
            NoJobError: it is gone.
        """
        now = time.time()
        with self._database.writing() as connection:
            row = _find(connection, job.number)
            if row is None:
                raise NoJobError(job.id)
            before = State(row["state"])
            if before not in only_from:
                raise NotNowError(f"the job {job.id} is {before}")
            if state is not None:
                values["state"] = state
                if state.over:
                    values["ended_s"] = now
            if values:
                names = ", ".join(f"{name} = ?" for name in values)
                connection.execute(
                    f"UPDATE jobs SET {names} WHERE number = ?", (*values.values(), job.number)
                )
            for kind, document in events:
                _tell(connection, job.number, kind, document, now)
            changed = Job.of_row(_read(connection, job.number))
            if state is not None and state is not before:
                said = {"state": state, "health": changed.health, "reason": changed.reason}
                document = {name: value for name, value in said.items() if value}
                _tell(connection, job.number, "state", document, now)
            counted(connection)
        self.heard(job.number)
        return changed

    def delete(self, job: Job, put_away: Callable[[], None]) -> None:
        """Forget a job and its events.

        Args:
            job: The job.
            put_away: Moves its files, before anybody can hand in another one of its id.

        Raises:
            NotNowError: it is not over, or others need it.
            NoJobError: it is gone.
        """
        with self._database.writing() as connection:
            row = _find(connection, job.number)
            if row is None:  # somebody else deleted it meanwhile
                raise NoJobError(job.id)
            state = State(row["state"])
            if not state.over:
                raise NotNowError(
                    f"the job {job.id} is {state}", f"cancel it first: bitalloc cancel {job.id}"
                )
            needed = connection.execute(
                f"SELECT id FROM jobs WHERE of = ? AND state IN ({_WAITING}, 'running')", (job.id,)
            ).fetchone()
            if needed is not None:
                raise NotNowError(f"the job {needed['id']} still works on {job.id}")
            connection.execute("DELETE FROM events WHERE job = ?", (job.number,))
            connection.execute("DELETE FROM jobs WHERE number = ?", (job.number,))
            put_away()
        self.heard(job.number)

    def events(self, job: int, after: int = 0, limit: int = -1) -> list[Event]:
        """Return what happened to a job, the oldest first.

        Args:
            job: The job's number.
            after: The number of the last event that is known.
            limit: Most that are returned; -1 for all.
        """
        rows = self._database.rows(
            "SELECT number, at_s, kind, document FROM events WHERE job = ? AND number > ? "
            "ORDER BY number LIMIT ?",
            (job, after, limit),
        )
        return [_event(row) for row in rows]

    def last_evaluation(self, target: str) -> Event | None:
        """Return the newest evaluation of any job on a target; None where there was none."""
        row = self._database.row(
            "SELECT events.* FROM jobs JOIN events ON events.job = jobs.number "
            "WHERE target = ? AND events.kind = 'evaluation' "
            "ORDER BY jobs.number DESC, events.number DESC LIMIT 1",
            (target,),
        )
        return None if row is None else _event(row)


def _event(row: sqlite3.Row) -> Event:
    return Event(
        number=row["number"],
        at_s=row["at_s"],
        kind=row["kind"],
        document=json.loads(row["document"]),
    )


def _find(connection: sqlite3.Connection, number: int) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM jobs WHERE number = ?", (number,)
    ).fetchone()
    return row


def _read(connection: sqlite3.Connection, number: int) -> sqlite3.Row:
    row = _find(connection, number)
    assert row is not None
    return row


def _same(row: sqlite3.Row, user: str, request: Mapping[str, Any]) -> Job:
    try:
        same = row["user"] == user and row["request"] == canonical_json(request)
    except ValueError:  # it has a number that is none, which no job has
        same = False
    if not same:
        raise IdTakenError(
            f"id: {row['id']} is the id of another job",
            "give each job an id of its own, or none",
        )
    return Job.of_row(row)


def _check_quotas(connection: sqlite3.Connection, new: NewJob, quotas: Quotas, now: float) -> None:
    (queued,) = connection.execute(
        f"SELECT count(*) FROM jobs WHERE user = ? AND state IN ({_WAITING})", (new.user,)
    ).fetchone()
    if queued >= quotas.queued:
        raise QuotaError(
            f"expected fewer than {quotas.queued} jobs of {new.user} in the queue, found {queued}",
            "wait until one of them has started, or cancel one",
        )
    (asked,) = connection.execute(
        "SELECT coalesce(sum(evaluations), 0) FROM jobs WHERE user = ? AND created_s > ?",
        (new.user, now - _DAY_S),
    ).fetchone()
    if asked + new.evaluations > quotas.evaluations_a_day:
        raise QuotaError(
            f"expected at most {quotas.evaluations_a_day:,} evaluations of {new.user} in 24 hours, "
            f"found {asked:,} and {new.evaluations:,} more",
            "ask for fewer (evaluations), or wait",
        )


def _tell(
    connection: sqlite3.Connection, job: int, kind: str, document: Mapping[str, Any], now: float
) -> None:
    connection.execute(
        "INSERT INTO events SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ? FROM events "
        "WHERE job = ?",
        (job, now, kind, json_text(document), job),
    )
