"""SHA256SUMS: what every file of a bundle must hash to, in the form that `sha256sum -c` reads.

It finds files that were damaged, cut off or changed by mistake. It is no signature: whoever changes
a file on purpose can write the sums again.
"""

import hashlib
from pathlib import Path

_SUMS = "SHA256SUMS"
_DIGITS = 64


class BundleError(ValueError):
    """Raised for a folder that is no bundle, or not the one that was written."""


def write_sums(folder: Path) -> None:
    """Write the sums of all files of a folder."""
    lines = [f"{_digest(path)}  {path.relative_to(folder)}" for path in _files(folder)]
    (folder / _SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def compare_sums(folder: Path) -> None:
    """Compare every file of a bundle with its sum.

    Raises:
        BundleError: there are no sums, a file is missing, another one, or has none.
    """
    sums = folder / _SUMS
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise BundleError(f"{folder} is no bundle: it has no readable {_SUMS}") from None
    expected = {}
    for line in lines:
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != _DIGITS:
            raise BundleError(f"{sums} is damaged: expected a sum and a name, found {line!r}")
        expected[name] = digest
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{path} is missing; export the bundle again")
        if _digest(path) != digest:
            raise BundleError(f"{path} is damaged or was changed; export the bundle again")
    known = {"bundle.json", "program.so", "weights.bin"}
    if missing := sorted(known - set(expected)):
        raise BundleError(f"{sums} is cut off: expected {missing[0]}, found no sum of it")


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name != _SUMS and "__pycache__" not in path.parts
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
