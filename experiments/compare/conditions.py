"""Conditions: what outcomes on tables depend on beside their match, so that old ones never mix."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import agents
import env
import experiments.truth
import quant
from experiments.errors import RunFolderError
from experiments.settings.run_config import RunConfig
from experiments.truth.claim import Claim
from experiments.truth.weights import weights_beside
from quant.records.atomic_file import write_atomically
from quant.records.json_form import EXACT, from_plain, json_text, to_plain
from quant.records.source_digest import digest_of_folder

_NOT_SETTINGS = (
    *("method", "evaluations", "seed", "output", "store", "quiet", "task", "budget", "train"),
)
"""Keys that a claim, a table or nothing stands for."""
OUTCOMES = "outcomes.jsonl"
_FILE = "conditions.json"
_GIT_TIMEOUT_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What an outcome depends on."""

    __pydantic_config__ = EXACT

    tables: dict[str, str]
    """Digest of each table and of the weights beside it, by name."""
    settings: dict[str, Any]
    """Of methods, sensitivities and reward, whole."""
    code: str
    """Digest of the sources that search, evaluate and judge; of no comment."""


def conditions_of(claim: Claim, base: RunConfig) -> Conditions:
    """Return what outcomes depend on now.

    Raises:
        RunFolderError: a table or the weights beside it cannot be read.
    """
    settings = to_plain(asdict(base))
    folders = (Path(part.__path__[0]) for part in (quant, env, agents, experiments.truth))
    return Conditions(
        tables={path.stem: _digest(path, weights_beside(path)) for path in claim.tables},
        settings=_decisive(settings),
        code="-".join(map(digest_of_folder, folders)),
    )


def keep_conditions(folder: Path, conditions: Conditions) -> None:
    """Write down what a folder's outcomes depend on, or refuse to add others to them.

    Tables that are added later are no difference.

    Raises:
        RunFolderError: names what is not as it was when its first outcomes were played.
    """
    path = folder / _FILE
    if path.exists():
        before = _read(path)
        common = before.tables.keys() & conditions.tables.keys()
        for name, same in (
            ("tables", all(before.tables[key] == conditions.tables[key] for key in common)),
            ("settings", _decisive(before.settings) == conditions.settings),
            ("code", before.code == conditions.code),
        ):
            if not same:
                raise RunFolderError(
                    f"expected the {name} that the outcomes in {folder} were played with, found "
                    "others",
                    "name another folder with --output",
                )
        conditions = replace(conditions, tables={**before.tables, **conditions.tables})
    elif (folder / OUTCOMES).exists():
        raise RunFolderError(
            f"expected beside the outcomes in {folder} what they were played with, found nothing",
            "name another folder with --output",
        )
    write_atomically(path, json_text(conditions, indent=1) + "\n")


def committed_in(file: Path) -> str:
    """Return the commit that last changed a file; empty where none has it as it is now."""
    where = str(file.resolve().parent)
    if _git(where, "status", "--porcelain", "--ignored", "--", file.name) != "":
        return ""
    return _git(where, "log", "-1", "--format=%H", "--", file.name)


def _decisive(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _NOT_SETTINGS}


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise RunFolderError(f"cannot read {path}: {error}") from None
    return digest.hexdigest()


def _read(path: Path) -> Conditions:
    try:
        return from_plain(Conditions, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"expected conditions of outcomes in {path}: {error}") from None


def _git(folder: str, *arguments: str) -> str:
    command = ["git", "-C", folder, *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "?" if "status" in arguments else ""
    return done.stdout.strip()
