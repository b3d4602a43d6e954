"""Uploads: files by the SHA-256 of what is in them, until nobody has used them for a while."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from experiments.service.errors import RefusedError
from experiments.service.folder import ServiceFolder
from experiments.service.store.database import Database
from experiments.service.store.tokens import note

NETWORKS, DATA = "networks", "data"
KINDS = (NETWORKS, DATA)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One file."""

    kind: str
    digest: str
    suffix: str
    bytes: int
    user: str
    """Who sent it first; who knows the digest may use it."""
    expires_s: float
    """When it goes, unless a job names it before; seconds since the epoch."""


class Uploads:
    """The uploads of a service."""

    def __init__(self, database: Database, folder: ServiceFolder, kept_s: float) -> None:
        """Use a database and a folder.

        Args:
            database: Knows what there is.
            folder: Has the files.
            kept_s: How long an upload stays that no job names.
        """
        self._database, self._folder, self._kept_s = database, folder, kept_s

    def add(self, kind: str, file: Path, digest: str, suffix: str, user: str) -> Upload:
        """Take a whole file that lies beside its place; the same one may come again.

        Args:
            kind: `data` or `networks`.
            file: It is moved.
            digest: SHA-256 of its content, in hexadecimal digits.
            suffix: What its name ends in, with the dot.
            user: Who sent it.
        """
        now, size = time.time(), file.stat().st_size
        with self._database.writing() as connection:
            # Within the transaction, so that nobody deletes it as what was there before.
            file.replace(self._folder.uploads(kind) / f"{digest}{suffix}")
            connection.execute(
                "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (kind, digest) DO UPDATE SET used_s = excluded.used_s",
                (kind, digest, suffix, size, user, now, now),
            )
            note(connection, user, f"{kind} uploaded", f"sha256:{digest}")
        return self._get(kind, digest)

    def seen_from_job(self, kind: str, digest: str) -> Path:
        """Return where an upload lies, seen from the folder of a job, and keep it for longer.

        Raises:
            RefusedError: there is none.
        """
        return Path("..", "..", kind, self.path(kind, digest).name)

    def path(self, kind: str, digest: str) -> Path:
        """Return where an upload lies, and keep it for longer.

        Raises:
            RefusedError: there is none.
        """
        upload = self._get(kind, digest)
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE uploads SET used_s = ? WHERE kind = ? AND digest = ?",
                (time.time(), kind, digest),
            )
        return self._folder.uploads(kind) / f"{digest}{upload.suffix}"

    def all_of(self, kind: str) -> list[Upload]:
        """Return the uploads of a kind, the oldest first."""
        rows = self._database.rows(
            "SELECT digest FROM uploads WHERE kind = ? ORDER BY created_s", (kind,)
        )
        return [self._get(kind, row["digest"]) for row in rows]

    def forget_old(self, needed: Collection[str]) -> list[str]:
        """Delete what nobody used for long enough, and return its digests.

        Args:
            needed: Digests that a job may still read.
        """
        gone, before_s = [], time.time() - self._kept_s
        for row in self._database.rows("SELECT * FROM uploads WHERE used_s < ?", (before_s,)):
            if row["digest"] in needed:
                continue
            name = f"{row['digest']}{row['suffix']}"
            with self._database.writing() as connection:
                deleted = connection.execute(
                    "DELETE FROM uploads WHERE kind = ? AND digest = ? AND used_s < ?",
                    (row["kind"], row["digest"], before_s),
                ).rowcount
                if not deleted:  # sent or named again meanwhile
                    continue
                note(connection, "service", f"{row['kind']} expired", f"sha256:{row['digest']}")
                (self._folder.uploads(row["kind"]) / name).unlink(missing_ok=True)
            gone.append(row["digest"])
        return gone

    def _get(self, kind: str, digest: str) -> Upload:
        row = self._database.row(
            "SELECT * FROM uploads WHERE kind = ? AND digest = ?", (kind, digest)
        )
        if row is None:
            raise RefusedError(
                f"there is no upload sha256:{digest} among the {kind}",
                f"POST /v1/{kind} takes the file; it may have expired",
            )
        return Upload(
            kind=kind,
            digest=digest,
            suffix=row["suffix"],
            bytes=row["bytes"],
            user=row["user"],
            expires_s=row["used_s"] + self._kept_s,
        )
