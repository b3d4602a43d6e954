"""Control groups of jobs: made, entered and told of, in a tree that stands for the kernel's.

Machines on which the tests may make real ones are few; `echo` into these files is all there is.
"""

import os
import signal
import sys
from pathlib import Path

import pytest

from experiments.service.work.memory_group import NoGroupError, delegated_group, group_of_job
from tests.experiments.service.work.keeping import keep

_TELLS = """
import pathlib, sys
group = pathlib.Path(sys.argv[1])
print((group / "memory.max").read_text(), (group / "cgroup.procs").read_text(), flush=True)
"""
_IS_REFUSED = """
import os, pathlib, signal, sys
(pathlib.Path(sys.argv[1]) / "memory.events").write_text("low 0\\noom 1\\noom_kill 1\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""


def tree(
    folder: Path, name: str = "unit", processes: str = "", controllers: str = "cpu memory"
) -> tuple[Path, tuple[Path, ...]]:
    """Return what says which group this process is in, and where groups are mounted."""
    group = folder / "mount" / name
    group.mkdir(parents=True)
    (folder / "mount" / "cgroup.controllers").write_text("cpu io memory\n")
    (group / "cgroup.controllers").write_text(controllers)
    (group / "cgroup.procs").write_text(processes)
    own = folder / "own"
    own.write_text(f"5:devices:/elsewhere\n0::/{name}\n")
    return own, (folder / "not-there", folder / "mount")


def test_a_unit_of_systemd_lends_its_group_and_the_server_moves_aside(tmp_path: Path) -> None:
    own, mounts = tree(tmp_path, processes=f"{os.getpid()}\n")
    (tmp_path / "mount" / "unit" / "job-before").mkdir()
    group = delegated_group(own, mounts)
    assert group == tmp_path / "mount" / "unit"
    assert (group / "server" / "cgroup.procs").read_text() == str(os.getpid())
    assert (group / "cgroup.subtree_control").read_text() == "+memory"
    assert not (group / "job-before").exists()
    # The next server finds itself in the group of the one before, or where systemd put it.
    own.write_text("0::/unit/server\n")
    (group / "cgroup.procs").write_text("")
    assert delegated_group(own, mounts) == group


@pytest.mark.parametrize(
    ("processes", "controllers", "inside", "said"),
    [
        ("1\n", "cpu memory", "0::/unit\n", "1 other processes share"),
        ("", "cpu", "0::/unit\n", "no memory controller"),
        ("", "memory", "4:memory:/unit\n", "not mounted"),
        ("", "memory", "0::/gone\n", "No such file"),
    ],
)
def test_what_allows_none_is_said(
    tmp_path: Path, processes: str, controllers: str, inside: str, said: str
) -> None:
    own, mounts = tree(tmp_path, processes=processes, controllers=controllers)
    own.write_text(inside)
    with pytest.raises(NoGroupError, match=said):
        delegated_group(own, mounts)
    with pytest.raises(NoGroupError, match="own"):
        delegated_group(tmp_path / "no" / "own", mounts)


def test_a_job_starts_in_its_group_with_its_memory(tmp_path: Path) -> None:
    group = group_of_job(tmp_path, "first")
    words = [sys.executable, "-c", _TELLS, str(group)]
    ended, printed = keep(tmp_path / "job", words, memory_bytes=123_456_789, group=str(group))
    assert ended.exit_code == 0, printed
    memory, process = printed.split()
    assert memory == "123456789"
    assert int(process) != os.getpid()
    assert (group / "memory.swap.max").read_text() == "0"
    assert (group / "memory.oom.group").read_text() == "1"


def test_a_job_whose_memory_the_kernel_refused_is_told_so(tmp_path: Path) -> None:
    group = group_of_job(tmp_path, "first")
    words = [sys.executable, "-c", _IS_REFUSED, str(group)]
    ended, _ = keep(tmp_path / "job", words, group=str(group))
    assert (ended.why, ended.exit_code) == ("memory", -signal.SIGKILL)


def test_a_group_that_cannot_be_made_keeps_no_job_from_its_work(tmp_path: Path) -> None:
    group = tmp_path / "nowhere" / "job-first"
    ended, printed = keep(tmp_path / "job", [sys.executable, "-c", "print(7)"], group=str(group))
    assert (ended.exit_code, printed) == (0, "7\n")
