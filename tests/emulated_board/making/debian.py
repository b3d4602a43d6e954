"""Debian packages of any architecture, unpacked into a folder: no root, nothing installed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.emulated_board.errors import BoardUnavailable

APT_LINE = "BITALLOC_BOARD_APT_LINE"
"""Environment variable: one line of a `sources.list`, in place of this machine's own sources.
For machines that are not Debian's, or whose mirror has no arm64 packages."""

_NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/lib/*/gconv")
"""Folders whose absence no process notices."""


def host_architecture() -> str:
    """Return Debian's name of this machine's architecture, such as `amd64`.

    Raises:
        BoardUnavailable: This machine has no dpkg.
    """
    return _run("dpkg", "--print-architecture").strip()


def unpack_packages(
    packages: Sequence[str], *, architecture: str, folder: Path, work: Path
) -> list[str]:
    """Download packages with all that they depend on, and unpack them into a folder.

    Args:
        packages: Names of the packages.
        architecture: Debian's name of it, such as `arm64`.
        folder: Receives the files, as if it were `/`.
        work: Folder for apt's own lists and downloads; the caller removes it.

    Returns:
        The names of the unpacked files, which hold the versions.

    Raises:
        BoardUnavailable: No apt, no network, or a mirror without these packages.
    """
    options = _apt_options(architecture, work)
    _run("apt-get", *options, "update")
    _run("apt-get", *options, "install", "--download-only", *packages)
    archives = sorted((work / "archives").glob("*.deb"))
    if not archives:
        raise BoardUnavailable(
            f"expected packages from apt for {architecture}, found none of {', '.join(packages)}"
        )
    for archive in archives:
        _run("dpkg-deb", "--extract", str(archive), str(folder))
    for pattern in _NOT_NEEDED:
        for path in folder.glob(pattern):
            shutil.rmtree(path)
    return [archive.name for archive in archives]


def _apt_options(architecture: str, work: Path) -> list[str]:
    """Return options that leave the machine's own package state alone."""
    for name in ("lists/partial", "archives/partial", "etc"):
        (work / name).mkdir(parents=True, exist_ok=True)
    status = work / "status"
    status.touch()
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        # A configuration of a container image may delete downloads as soon as they are unpacked.
        "APT::Keep-Downloaded-Packages": "true",
        "DPkg::Post-Invoke": "",
        "APT::Update::Post-Invoke": "",
        "Dir::State": work,
        "Dir::State::lists": work / "lists",
        "Dir::State::status": status,
        "Dir::Cache": work,
        "Dir::Cache::archives": work / "archives",
        "Debug::NoLocking": "true",
    }
    if os.environ.get(APT_LINE):
        sources = work / "etc" / "sources.list"
        sources.write_text(os.environ[APT_LINE] + "\n", encoding="utf-8")
        settings |= {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "/dev/null"}
    return ["-qq", "-y", *(word for k, v in settings.items() for word in ("-o", f"{k}={v}"))]


def _run(program: str, *arguments: str) -> str:
    if shutil.which(program) is None:
        raise BoardUnavailable(
            f"expected {program} on this machine, found none: the board is made of Debian packages"
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = " ".join(word for word in arguments if not word.startswith("-") and "=" not in word)
        raise BoardUnavailable(
            f"{program} {words} ended with {done.returncode}: {done.stderr.strip()[-500:]}",
            f"the board needs a Debian mirror with arm64 packages; name one in {APT_LINE}",
        )
    return done.stdout
