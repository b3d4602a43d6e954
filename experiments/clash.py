"""Clashes: a file or folder of the user's that Python takes for a package of the project.

The wheel brings packages of plain names (env, agents, ...). Where a program is started beside an
env.py, Python finds that one first.
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

SIBLINGS = ("agents", "env", "hardware", "quant")
"""The packages that are imported here."""
_IN_EACH = "errors.py"
_USER_MISTAKE = 2  # exit_codes has it, and imports from packages that may be somebody else's
_HINT = (
    "rename it, or start from another folder: BitAlloc brings the packages agents, env, "
    "experiments, hardware and quant"
)


def refuse_clashes(names: Sequence[str]) -> None:
    """Look where packages would be imported from, without importing them.

    Args:
        names: Of packages, each of which has a file errors.py.

    Raises:
        ImportError: something else has the name of one. A command of the project's own ends with
            the sentence and an exit code instead.
    """
    for name in names:
        if found := _other(name):
            _refuse(name, found)


def _refuse(name: str, found: str) -> NoReturn:
    sentence = f"expected BitAlloc's package {name!r}, found {found} in its place"
    if not is_command():
        raise ImportError(f"{sentence} ({_HINT})", name=name)
    print(f"error: {sentence}\nhint: {_HINT}", file=sys.stderr)
    raise SystemExit(_USER_MISTAKE)


def is_command() -> bool:
    """Return whether this process is a command of the project, and no program of the user's."""
    # While Python looks for what `-m` names, that is all there is of the command line.
    program = sys.argv[0] if sys.argv else ""
    return program == "-m" or Path(program).name == "bitalloc"


def _other(name: str) -> str:
    """Return what would be imported under a package's name, if it is not the package."""
    spec = find_spec(name)
    if spec is None:
        return ""
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if any((place / _IN_EACH).is_file() for place in places):
        return ""
    return str(spec.origin or (places and places[0]) or name)
