"""Memory groups: control groups (cgroup v2) in which the kernel itself keeps a job's limit.

The keeper looks at a job's memory five times a second, and a job may take much in between. Where
this user may make control groups, as in a unit of systemd with `Delegate=yes`, the kernel refuses
it every page too many.
Source: Linux, Documentation/admin-guide/cgroup-v2.rst, "Delegation" and "Memory".
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_MOUNTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
_OWN = Path("/proc/self/cgroup")
_SERVER = "server"
"""Group of the server itself: one that has groups below it may have no processes."""
_JOB = "job-"
_CONTROLLER = "memory"
_PROCESSES, _DELEGATED = "cgroup.procs", "cgroup.subtree_control"


class NoGroupError(Exception):
    """Raised where no control groups can be made; says why."""


def delegated_group(own: Path = _OWN, mounts: tuple[Path, ...] = _MOUNTS) -> Path:
    """Return the control group below which jobs get theirs; this process moves aside for it.

    Args:
        own: Which group this process is in, as the kernel says it.
        mounts: Where version 2 may be mounted.

    Raises:
        NoGroupError: this system or this user's rights allow none.
    """
    group = _group_of_this_process(own, mounts)
    if group.name == _SERVER:  # of a server before, or of DelegateSubgroup=
        group = group.parent
    try:
        if _CONTROLLER not in (group / "cgroup.controllers").read_text().split():
            raise NoGroupError("version 2 of control groups has no memory controller here")
        _move_aside(group)
        (group / _DELEGATED).write_text(f"+{_CONTROLLER}")
    except OSError as error:
        raise NoGroupError(f"{group}: {error.strerror or error}") from None
    for left in group.glob(f"{_JOB}*"):  # of a server that was killed; full ones stay
        _remove(left)
    return group


def group_of_job(delegated: Path, name: str) -> Path:
    """Return the control group that a job is to have."""
    return delegated / f"{_JOB}{name}"


@contextmanager
def limited_group(group: Path | None, memory_bytes: int) -> Iterator[Path | None]:
    """Make a control group with so much memory, lend it, and remove it after the block.

    None is lent where it is None, or cannot be made: the keeper looks at the memory anyway.
    """
    if group is None or not _make(group, memory_bytes):
        yield None
        return
    try:
        yield group
    finally:
        _remove(group)


def enter(group: Path) -> None:
    """Move this process into a control group, in a fork that becomes another program."""
    with suppress(OSError):  # as above
        (group / _PROCESSES).write_text(str(os.getpid()))


def was_refused_memory(group: Path) -> bool:
    """Return whether the kernel ended a process of a group because it wanted too much."""
    try:
        lines = (group / "memory.events").read_text().splitlines()
    except OSError:
        return False
    counts = dict(line.split() for line in lines if len(line.split()) == 2)
    return counts.get("oom_kill", "0") != "0"


def _group_of_this_process(own: Path, mounts: tuple[Path, ...]) -> Path:
    try:
        lines = own.read_text().splitlines()
    except OSError as error:
        raise NoGroupError(f"{own}: {error.strerror or error}") from None
    inside = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    for mount in mounts:
        if inside is not None and (mount / "cgroup.controllers").is_file():
            return mount / inside
    raise NoGroupError("version 2 of control groups is not mounted here")


def _make(group: Path, memory_bytes: int) -> bool:
    try:
        group.mkdir(exist_ok=True)
        (group / "memory.max").write_text(str(memory_bytes))
    except OSError:
        return False
    for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
        with suppress(OSError):  # without swap, or of an old kernel
            (group / name).write_text(value)
    return True


def _move_aside(group: Path) -> None:
    """Move what this server started, itself included, into a group of its own.

    Raises:
        NoGroupError: others are there, who are not ours to move.
        OSError: it may not be.
    """
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    there = [int(word) for word in (group / _PROCESSES).read_text().split()]
    if others := [process for process in there if process not in ours]:
        raise NoGroupError(
            f"{len(others)} other processes share the control group: a unit of systemd has its own"
        )
    if there:
        aside = group / _SERVER
        aside.mkdir(exist_ok=True)
        for process in there:
            with suppress(ProcessLookupError):
                (aside / _PROCESSES).write_text(str(process))


def _remove(group: Path) -> None:
    with suppress(OSError):  # something is in it still
        group.rmdir()
