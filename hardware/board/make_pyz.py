"""Packing the board's side into one file, which any Python with the four packages can run."""

import shutil
import tempfile
import zipapp
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_FILES = ("__init__.py", "facts.py")
_PACKAGES = ("board", "energy", "runtime")
"""Packages of `hardware` that import nothing else of the project; what is missing is left out."""


def pack(file: Path) -> None:
    """Write a zip application of this package and of what it may import.

    Raises:
        OSError: the file cannot be written, or this is a packed file already.
    """
    if not _ROOT.is_dir():
        raise OSError(f"expected the project's folder at {_ROOT}: pack from a checkout")
    with tempfile.TemporaryDirectory(prefix="bitalloc-pack-") as temporary:
        made = Path(temporary) / "hardware"
        made.mkdir()
        for name in _FILES:
            shutil.copy(_ROOT / name, made / name)
        for name in _PACKAGES:
            if (_ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(_ROOT / name, made / name, ignore=ignored)
        # zipapp's own starter would drop the exit code.
        starter = "import sys\nfrom hardware.board.command import main\nsys.exit(main())\n"
        (Path(temporary) / "__main__.py").write_text(starter, encoding="utf-8")
        zipapp.create_archive(temporary, file, "/usr/bin/env python3", compressed=True)
