"""Built: what the worker answers when a candidate was built; readable without TVM."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What building one candidate told."""

    build_s: float
    """Planning, packing, compiling what was not in the cache, and assembling."""
    check_s: float
    """Running it once and computing the integer reference."""
    families: Mapping[str, str]
    """`{layer: kernel family}`."""
    wrong_kernels: tuple[str, ...] = ()
    """Folders of cached kernels that computed wrongly; others were compiled in their place."""
