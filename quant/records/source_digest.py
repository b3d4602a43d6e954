"""The digest of a folder's sources, which a comment does not change."""

import ast
import hashlib
from pathlib import Path


def digest_of_folder(folder: Path) -> str:
    """Return the digest of a folder's Python files: of their code and of their places in it.

    Comments, docstrings and the form of the text count for nothing.
    """
    digest = hashlib.sha256()
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*.py")}
    for name, file in sorted(files.items()):
        digest.update(name.encode() + b"\0" + _code_of(file.read_bytes()).encode() + b"\0")
    return digest.hexdigest()[:16]


def _code_of(source: bytes) -> str:
    """Return a syntax tree as text, without docstrings and places."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                setattr(node, name, [child for child in value if not _is_docstring(child)])
    return ast.dump(tree)


def _is_docstring(node: object) -> bool:
    """Return whether a statement is a bare text, which describes something and does nothing."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
