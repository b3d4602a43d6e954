"""The lowest versions that pyproject.toml claims, as constraints for pip.

    python tools/lowest_versions.py > lowest.txt
    pip install --constraint lowest.txt --editable .

What has no lower bound, and what the packages need themselves, pip chooses.
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
_TOOLS = ("dev", "docs")
"""Extras that nobody needs who uses the project; `constraints.txt` has their versions."""
_AT_LEAST = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?>=(?P<version>[\w.]+)")


def lowest(requirements: Iterable[str]) -> list[str]:
    """Return a constraint for each requirement that has a lower bound, sorted.

    >>> lowest(["numpy>=2.2", "torch>=2.13,<2.14", "mkdocstrings[python]>=1.0", "types-pyyaml"])
    ['mkdocstrings==1.0', 'numpy==2.2', 'torch==2.13']
    """
    found = (_AT_LEAST.match(requirement) for requirement in requirements)
    return sorted({f"{match['name']}=={match['version']}" for match in found if match})


def main() -> None:
    """Print the constraints of what the project and its extras need, developers' tools left out."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    groups = [project["dependencies"], *(extras[name] for name in extras if name not in _TOOLS)]
    print(*lowest(name for group in groups for name in group), sep="\n")


if __name__ == "__main__":
    main()
