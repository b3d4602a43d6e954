"""Counts the packages' lines of code and their docstrings, now and at an earlier commit.

A line of code is one that has more on it than blanks, a comment or a bare text, which is the
docstring of a module, a class, a function or an attribute.

    python -m tools.code_lines                  # as the working tree is
    python -m tools.code_lines --base COMMIT    # that commit beside it, and the difference
"""

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path, PurePosixPath

PACKAGES = ("quant", "hardware", "env", "agents", "experiments")

OTHER_CODE = (".c", ".css", ".html")
"""Suffixes of code that is not Python, of which all lines that are not blank are counted."""

_ROOT = Path(__file__).resolve().parent.parent
_NO_CODE = (
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
)

Sources = Mapping[str, bytes]
"""Contents of files by their paths in the repository."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What there is in some files, or the difference of two such counts."""

    files: int = 0
    """Python files."""
    lines: int = 0
    """Lines of Python code."""
    docstrings: int = 0
    """Docstrings of public modules, classes, functions and methods."""
    missing: int = 0
    """Public modules, classes, functions and methods without one."""
    private: int = 0
    """Docstrings of private names, magic methods and functions inside functions."""
    attributes: int = 0
    """Bare texts that are the docstring of nothing above, as those of attributes are."""
    other: int = 0
    """Lines of code that is not Python."""

    def __add__(self, other: "Counts") -> "Counts":
        return _by_field([a + b for a, b in zip(astuple(self), astuple(other), strict=True)])

    def __sub__(self, other: "Counts") -> "Counts":
        return _by_field([a - b for a, b in zip(astuple(self), astuple(other), strict=True)])


def main(arguments: Sequence[str]) -> int:
    """Print the counts that the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.code_lines",
        description="Count the packages' lines of code and their docstrings.",
    )
    parser.add_argument("--base", metavar="COMMIT", help="also count this commit, and compare")
    base = parser.parse_args(list(arguments)).base
    now = {package: count_package(_sources_now(package)) for package in PACKAGES}
    if base is None:
        print(_table(now, "now"))
        return 0
    try:
        before = {package: count_package(_sources_at(base, package)) for package in PACKAGES}
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode().strip().partition("\n")[0]
        print(f"error: cannot read the commit {base}: {said}", file=sys.stderr)
        return 2
    difference = {package: now[package] - before[package] for package in PACKAGES}
    tables = (_table(before, base), _table(now, "now"), _table(difference, "difference", "+"))
    print("\n\n".join(tables))
    return 0


def count_package(sources: Sources) -> Counts:
    """Count everything in some files; those that are no code are passed over."""
    total = Counts()
    for path, content in sources.items():
        suffix = PurePosixPath(path).suffix
        if suffix == ".py":
            total += count_source(content, public=_is_public_module(path))
        elif suffix in OTHER_CODE:
            total += Counts(other=sum(bool(line.strip()) for line in content.splitlines()))
    return total


def count_source(content: bytes, *, public: bool = True) -> Counts:
    """Count what is in one Python file.

    Args:
        content: The file.
        public: Whether the module is; nothing in a private one is public.
    """
    tree = ast.parse(content)
    bare = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and _is_text(node.value)]
    found = _Docstrings()
    found.look(tree, public)
    documented = found.docstrings + found.private
    return Counts(
        files=1,
        lines=_code_lines(content, bare),
        docstrings=found.docstrings,
        missing=found.missing,
        private=found.private,
        attributes=len(bare) - documented,
    )


class _Docstrings:
    """Docstrings of what has names, counted while walking a module."""

    def __init__(self) -> None:
        self.docstrings = self.missing = self.private = 0

    def look(
        self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, public: bool
    ) -> None:
        """Count a definition and all that are in it."""
        has = (
            bool(node.body) and isinstance(node.body[0], ast.Expr) and _is_text(node.body[0].value)
        )
        self.docstrings += public and has
        self.missing += public and not has
        self.private += has and not public
        inner = public and isinstance(node, ast.Module | ast.ClassDef)
        self._look_inside(node, inner)

    def _look_inside(self, node: ast.AST, public: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                self.look(child, public and not child.name.startswith("_"))
            else:
                self._look_inside(child, public)


def _code_lines(content: bytes, bare: Sequence[ast.Expr]) -> int:
    """Count the lines that are not blank and have a token of code."""
    source = content.splitlines()
    starts = [
        ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)) for node in bare
    ]
    lines: set[int] = set()
    for token in tokenize.tokenize(io.BytesIO(content).readline):
        if token.type in _NO_CODE:
            continue
        row, column = token.start
        if token.type == tokenize.STRING:
            # A column of the tree is one of bytes.
            place = (row, len(token.line[:column].encode()))
            if any(start <= place < end for start, end in starts):
                continue
        lines.update(range(row, token.end[0] + 1))
    return sum(bool(source[number - 1].strip()) for number in lines)


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_public_module(path: str) -> bool:
    names = PurePosixPath(path).with_suffix("").parts
    return not any(name.startswith("_") and not name.endswith("__") for name in names)


def _sources_now(package: str) -> Sources:
    """Read a package as it is in the working tree."""
    return {
        path.relative_to(_ROOT).as_posix(): path.read_bytes()
        for path in sorted((_ROOT / package).rglob("*"))
        if path.suffix in (".py", *OTHER_CODE)
    }


def _sources_at(commit: str, package: str) -> Sources:
    """Read a package as it was; the working tree stays as it is.

    Raises:
        subprocess.CalledProcessError: there is no such commit.
    """
    if not _git("ls-tree", "--name-only", commit, "--", package):
        return {}
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "--", package))) as archive:
        return {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, check=True).stdout


def _by_field(values: Sequence[int]) -> Counts:
    return Counts(
        **{field.name: value for field, value in zip(fields(Counts), values, strict=True)}
    )


def _table(counts: Mapping[str, Counts], title: str, sign: str = "") -> str:
    """Draw the packages and all of them together, and a line for what is not Python."""
    columns = [field.name for field in fields(Counts) if field.name != "other"]
    total = sum(counts.values(), Counts())
    rows = [[title, *columns]]
    for name, item in (*counts.items(), ("all", total)):
        rows.append([name, *(f"{getattr(item, column):{sign},}" for column in columns)])
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows]
    lines.append(f"other code ({', '.join(OTHER_CODE)}): {total.other:{sign},} lines")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
