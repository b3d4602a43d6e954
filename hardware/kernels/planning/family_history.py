"""Family history: which kernel families have run on a machine of the project's own.

A family that no machine at hand can run is read as assembly and, where there is an emulator, run
there; whoever measures with it first must know that.
"""

from collections.abc import Iterable

FALL_BACK = "generic"
"""The family of every target and layer for which nothing faster is written."""

_HAVE_RUN = ("avx2", "avx512", "avx", FALL_BACK, "formula")
"""First parts of the names of families that ran outside an emulator (`formula`: the simulation).
Add a family here with the first run of its exactness tests on a real machine."""


def never_run(families: Iterable[str]) -> tuple[str, ...]:
    """Return those families that never ran on a machine of the project's, sorted."""
    return tuple(sorted({name for name in families if name.split("-")[0] not in _HAVE_RUN}))
