"""Lines of code and docstrings, counted in a source that has one of everything."""

import subprocess
from pathlib import Path

import pytest

from tools.code_lines import Counts, count_package, count_source, main

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''"""A module.

With a second line.
"""

import os  # code, with a comment

# no code
LIMIT = 3
"""An attribute, as it is
explained."""

TEXT = """data

of two lines that are not blank"""


class Open:
    """One of the public classes."""

    size: int = 0
    "Ä" ; depth: int = 1

    def __len__(self) -> int:
        return 1

    def missing(self) -> int:
        def inner() -> int:
            """Inside a function."""
            return (
                # no code either
                2
            )

        return inner()


class Short(Exception): """On the line of its class."""


def _hidden() -> None:
    """Of a private name."""


if os.name:

    async def public() -> None:
        """In a branch."""
'''


def test_only_code_is_counted() -> None:
    # import, LIMIT, TEXT (2), Open, size, depth, __len__ (2), missing, inner, return (3), return,
    # Short, _hidden, if, public
    assert count_source(SOURCE.encode()) == Counts(
        files=1, lines=19, docstrings=4, missing=1, private=2, attributes=2
    )


def test_nothing_in_a_private_module_is_public() -> None:
    found = count_package({"quant/_inner.py": SOURCE.encode(), "quant/__init__.py": b""})
    assert (found.files, found.docstrings, found.missing, found.private) == (2, 0, 1, 6)


def test_other_code_is_counted_apart() -> None:
    files = {"env/page.css": b"a {}\n\nb {}\n", "env/data.yaml": b"a: 1\n"}
    assert count_package(files) == Counts(other=2)


def test_the_working_tree_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert int(rows["all"][1].replace(",", "")) > 10_000


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_a_commit_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    assert main(["--base", head]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(head)
    assert "difference" in printed
    assert main(["--base", "no-such-commit"]) == 2
    assert "cannot read the commit no-such-commit" in capsys.readouterr().err
