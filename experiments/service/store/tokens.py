"""Tokens: who may use the service. A token is shown once; the store has its SHA-256 alone."""

import hashlib
import hmac
import re
import secrets
import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum

from experiments.service.errors import NotFoundError, RefusedError
from experiments.service.store.database import Database

_PREFIX = "bitalloc_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """What a token's holder may do."""

    USER = "user"
    """Hand in jobs, and see and end one's own, within the quotas."""
    OPERATOR = "operator"
    """See and end everybody's, without quotas."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Who:
    """Somebody with a valid token."""

    name: str
    role: Role

    @property
    def sees(self) -> str | None:
        """Whose jobs they see; None for everybody's."""
        return None if self.role is Role.OPERATOR else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """What the store knows of a token. Times are seconds since the epoch."""

    name: str
    role: Role
    created_s: float
    expires_s: float | None
    revoked_s: float | None

    @property
    def valid(self) -> bool:
        """Whether it opens anything now."""
        return self.revoked_s is None and (self.expires_s is None or time.time() < self.expires_s)


class Tokens:
    """The tokens of a database, and the log of who changed what."""

    def __init__(self, database: Database) -> None:
        """Use a database."""
        self._database = database

    def create(self, name: str, role: Role, days: float | None = None, by: str = "") -> str:
        """Return a new token, which nobody can be shown again.

        Args:
            name: Whose; one that was revoked or has expired may be given again.
            role: What its holder may do.
            days: How long it is valid; None for ever.
            by: Who makes it, for the log.

        Raises:
            RefusedError: there is a valid one of the name, or it is none.
        """
        if not _NAME.fullmatch(name):
            raise RefusedError(f"expected a name of letters, digits and . _ @ -, found {name!r}")
        token = _PREFIX + secrets.token_urlsafe(32)
        now = time.time()
        with self._database.writing() as connection:
            row = connection.execute("SELECT * FROM tokens WHERE name = ?", (name,)).fetchone()
            if row is not None and _token(row).valid:
                raise RefusedError(
                    f"{name} has a token already", f"bitalloc token revoke {name} ends it"
                )
            connection.execute(
                "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, NULL)",
                (name, role, _digest(token), now, None if days is None else now + 86400 * days),
            )
            note(connection, by or name, "token created", f"{name} ({role})")
        return token

    def check(self, token: str) -> Who | None:
        """Return whose a token is, None where it is nobody's; takes as long for either."""
        asked, found = _digest(token), None
        for row in self._database.rows("SELECT * FROM tokens"):
            if hmac.compare_digest(row["digest"], asked) and _token(row).valid:
                found = Who(name=row["name"], role=Role(row["role"]))
        return found

    def everyone(self) -> list[Token]:
        """Return every token that there was, by name."""
        return [_token(row) for row in self._database.rows("SELECT * FROM tokens ORDER BY name")]

    def operators(self) -> set[str]:
        """Return the names of those who have no quotas."""
        return {token.name for token in self.everyone() if token.role is Role.OPERATOR}

    def revoke(self, name: str, by: str = "") -> None:
        """End a token.

        Raises:
            NotFoundError: there is no valid one of the name.
        """
        with self._database.writing() as connection:
            changed = connection.execute(
                "UPDATE tokens SET revoked_s = ? WHERE name = ? AND revoked_s IS NULL",
                (time.time(), name),
            ).rowcount
            if not changed:
                raise NotFoundError(f"there is no token of {name}", "bitalloc token list")
            note(connection, by or name, "token revoked", name)

    def log(self, who: str, action: str, what: str) -> None:
        """Write down that somebody changed something."""
        with self._database.writing() as connection:
            note(connection, who, action, what)


def note(connection: sqlite3.Connection, who: str, action: str, what: str) -> None:
    """Write a line of the log, within the transaction of the change."""
    connection.execute(
        "INSERT INTO audit (at_s, who, action, what) VALUES (?, ?, ?, ?)",
        (time.time(), who, action, what),
    )


def _token(row: sqlite3.Row) -> Token:
    return Token(
        name=row["name"],
        role=Role(row["role"]),
        created_s=row["created_s"],
        expires_s=row["expires_s"],
        revoked_s=row["revoked_s"],
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
