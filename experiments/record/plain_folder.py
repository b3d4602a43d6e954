"""A run's folder has plain files and folders alone, where a run is to write in it again.

A folder may come from somebody else. Whoever goes on with its run appends to its files and deletes
old ones: through a link that would be done wherever the link leads, and a pipe would be waited for.
"""

import stat
from pathlib import Path

from experiments.errors import RunFolderError


def check_plain(folder: Path) -> None:
    """Refuse a folder with links, pipes or devices anywhere in it.

    Raises:
        RunFolderError: names the first of them.
    """
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            continue
        found = "a link" if stat.S_ISLNK(mode) else "no regular file"
        raise RunFolderError(
            f"{path} is {found}, and a run that goes on in its folder would write there",
            "put a file or a folder of its own in its place",
        )
