"""bitalloc token: who may use a service. Works on the service's own folder, on its machine."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.table import Table

from experiments.errors import ConfigError, RunFolderError
from experiments.service.client.place import USUAL_SERVER, Place, remember
from experiments.service.folder import ServiceFolder, usual_folder
from experiments.service.store.database import Database
from experiments.service.store.tokens import Role, Tokens
from experiments.settings.command_line import Command, run_typed
from experiments.terminal.tables import print_whole

_Folder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
_Name = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True, kw_only=True, slots=True)
class CreateOptions:
    """Make a token and print it, this once."""

    name: _Name
    """Whose it is; jobs are said to be theirs."""
    role: Literal["user", "operator"] = "user"
    """Users see and end their own jobs, within quotas; operators everybody's."""
    days: float | None = None
    """How long it is valid; for ever by default."""
    folder: _Folder = None
    """The service's folder; the usual one by default."""

    def __post_init__(self) -> None:
        """Refuse a token that nobody could use."""
        if self.days is not None and not 0 < self.days < 100_000:
            raise ConfigError(f"--days: expected more than 0, found {self.days:g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenListOptions:
    """List whose tokens there are; the tokens themselves nobody knows."""

    folder: _Folder = None
    """The service's folder; the usual one by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RevokeOptions:
    """End a token, now."""

    name: _Name
    """Whose it is."""
    folder: _Folder = None
    """The service's folder; the usual one by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UseOptions:
    """Keep a token that an operator gave, for this user's client."""

    token: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TOKEN")]
    """As it was printed."""
    server: Annotated[str, tyro.conf.arg(metavar="URL")] = USUAL_SERVER
    """Of which server it is."""


def main(arguments: Sequence[str]) -> int:
    """Make, list, end or keep tokens, and return the exit code."""
    return run_typed("experiments.service.token", command(), arguments)


def command() -> Mapping[str, Command]:
    """Return what can be typed, by its name."""
    return {
        "create": Command(options=CreateOptions, work=_create),
        "list": Command(options=TokenListOptions, work=_list),
        "revoke": Command(options=RevokeOptions, work=_revoke),
        "use": Command(options=UseOptions, work=_use),
    }


def _create(options: CreateOptions) -> None:
    with _open(options.folder) as database:
        token = Tokens(database).create(options.name, Role(options.role), options.days, "operator")
    print(token)
    print(
        "this token is shown once; its holder keeps it: bitalloc token use TOKEN", file=sys.stderr
    )


def _list(options: TokenListOptions) -> None:
    table = Table()
    for column in ("name", "role", "made", "valid until", "state"):
        table.add_column(column)
    with _open(options.folder) as database:
        for token in Tokens(database).everyone():
            state = "valid" if token.valid else "revoked" if token.revoked_s else "expired"
            until = "for ever" if token.expires_s is None else _day(token.expires_s)
            table.add_row(token.name, token.role, _day(token.created_s), until, state)
    print_whole(table)


def _revoke(options: RevokeOptions) -> None:
    with _open(options.folder) as database:
        Tokens(database).revoke(options.name, "operator")
    print(f"the token of {options.name} opens nothing any more")


def _use(options: UseOptions) -> None:
    path = remember(Place(server=options.server.rstrip("/"), token=options.token))
    print(f"kept in {path}")


def _open(folder: Path | None) -> Database:
    place = ServiceFolder(folder or usual_folder())
    if not place.database.exists():
        raise RunFolderError(
            f"{place.path} is not the folder of a service",
            "give the one that bitalloc serve printed: --folder FOLDER",
        )
    return Database(place.database)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
