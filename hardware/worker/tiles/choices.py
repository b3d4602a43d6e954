"""TileChoices: which schedules and families the tile search found fastest, kept on disk.

One small JSON file for each choice, named after a digest of its key and holding the whole key. A
file appears complete, by renaming, and counts only where its key is equal; otherwise the layer is
searched again. A schedule is chosen for a shape and a family, a family for a shape and the families
that are exact there: `{"key": ..., "tile": [...]}` and `{"key": ..., "family": 1}`, the second one.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hardware.errors import TargetError
from hardware.kernels.compiling.cache import cache_folder
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.family import Family
from hardware.kernels.planning.context import source_digest
from hardware.kernels.planning.family_choices import family_choices
from hardware.kernels.schedule.schedule import Schedule, candidates, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import KernelFamily, TargetConfig, Transform
from hardware.worker.tiles.rotation import COPIES
from quant.records.atomic_file import write_atomically
from quant.records.disk import what_helps
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

_SHARED_DEPTH = 32
"""Family depths from which one choice serves all. Measured over 11 shapes: what depth 32 chooses
makes depth 128 faster by 4.7 % (mean), and what depth 128 chooses by 4.2 %; but depth 16 gains
nothing by the choice of 32, nor 8 by that of 16."""

_FAMILY_DEPTHS = (4, 16)
"""The same for the choice of a family: widening every 4 steps or every 8 differs by a tenth of the
instructions."""

_Shape = tuple[int, int, int, bool, bool, int, int]

_NOT_KEPT = -1


class TileChoices:
    """Chosen schedules and families of one target. Several processes may share its folder.

    What was found or missed once stays so for this object: a program must not change its
    kernels while a table of its layers is measured.
    """

    def __init__(self, config: TargetConfig) -> None:
        """Open the folder that the configuration names; it is made with the first choice."""
        self.folder = cache_folder(config.tile_choices, "tiles")
        self._target = KernelTarget.of(config)
        self._known: dict[str, _Shape | None] = {}
        self._families: dict[str, int] = {}

    def schedule(self, geometry: Geometry, family: Family) -> Schedule:
        """Return the chosen schedule of a layer, or the default where none was chosen."""
        return self.find(geometry, family) or make_schedule(geometry, family)

    def find(self, geometry: Geometry, family: Family) -> Schedule | None:
        """Return the chosen schedule of a layer, None where none was chosen."""
        key = self.key(geometry, family)
        if key not in self._known:
            self._known[key] = self._read(key)
        shape = self._known[key]
        if shape is None:
            return None
        matching = (one for one in candidates(geometry, family) if _shape(one) == shape)
        return next(matching, None)

    def keep(
        self, geometry: Geometry, family: Family, schedule: Schedule, measured: Mapping[str, Any]
    ) -> None:
        """Keep a choice.

        Args:
            geometry: The layer's shapes.
            family: How products are summed.
            schedule: The fastest of those that were measured.
            measured: What the search measured, for people who read the file.
        """
        key = self.key(geometry, family)
        self._write(key, {"tile": _shape(schedule), "measured": dict(measured)})
        self._known[key] = _shape(schedule)

    def family(
        self,
        kind: KernelFamily,
        weight_bits: int,
        activation_bits: int,
        geometry: Geometry,
        transform: Transform,
    ) -> Family:
        """Return the chosen family of a layer, or the rule's where none was chosen.

        Args:
            kind: See `choose_family`, as are the others.
            weight_bits: Likewise.
            activation_bits: Likewise.
            geometry: Likewise.
            transform: Likewise.
        """
        families = family_choices(kind, weight_bits, activation_bits, geometry, transform)
        return self.find_family(geometry, families) or families[0]

    def find_family(self, geometry: Geometry, families: Sequence[Family]) -> Family | None:
        """Return which of some families was chosen for a layer, None where none was."""
        if len(families) == 1:
            return families[0]
        key = self.families_key(geometry, families)
        if key not in self._families:
            self._families[key] = self._read_family(key, len(families))
        index = self._families[key]
        return None if index == _NOT_KEPT else families[index]

    def keep_family(
        self,
        geometry: Geometry,
        families: Sequence[Family],
        index: int,
        measured: Mapping[str, Any],
    ) -> None:
        """Keep which of some families is the fastest.

        Args:
            geometry: The layer's shapes.
            families: Those that are exact, more than one.
            index: Which one.
            measured: See `keep`.
        """
        key = self.families_key(geometry, families)
        self._write(key, {"family": index, "measured": dict(measured)})
        self._families[key] = index

    def key(self, geometry: Geometry, family: Family) -> str:
        """Return what a choice depends on, as canonical JSON; equal keys share one choice."""
        return self._key(geometry, family=_how(family, (_SHARED_DEPTH,)))

    def families_key(self, geometry: Geometry, families: Sequence[Family]) -> str:
        """Return what the choice of a family depends on, as canonical JSON."""
        how = [_how(family, _FAMILY_DEPTHS) for family in families]
        return self._key(geometry, families=how)

    def _key(self, geometry: Geometry, **what: Any) -> str:
        key = {
            # Borders move values and change no sum.
            "geometry": replace(geometry, in_border=(0, 0), out_border=(0, 0)).document(),
            "source": source_digest(),
            "target": self._target.document(),
            "copies": COPIES,
            **what,
        }
        return json.dumps(key, sort_keys=True, separators=(",", ":"))

    def _write(self, key: str, choice: Mapping[str, Any]) -> None:
        document = {"key": json.loads(key), **choice}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file(key), json.dumps(document, indent=1))
        except OSError as error:
            raise TargetError(
                f"cannot write the tile choices {self.folder}: {error.strerror or error}",
                what_helps(error, "--target.tile-choices FOLDER, or the variable XDG_CACHE_HOME"),
            ) from None

    def _file(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"

    def _read(self, key: str) -> _Shape | None:
        """Return the shape in a key's file, None where it is missing, damaged or another key's."""
        try:
            document = parse_json(read_regular(self._file(key)))
            if document["key"] != json.loads(key):
                return None
            rows, columns, vectors, panels, terms, inside, group = document["tile"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return rows, columns, vectors, panels, terms, inside, group

    def _read_family(self, key: str, count: int) -> int:
        """Return the number in a key's file, `_NOT_KEPT` where none means a family."""
        try:
            document = parse_json(read_regular(self._file(key)))
            index = document["family"] if document["key"] == json.loads(key) else _NOT_KEPT
        except (OSError, ValueError, KeyError, TypeError):
            return _NOT_KEPT
        is_one = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < count
        return index if is_one else _NOT_KEPT


def _how(family: Family, depths: Sequence[int]) -> dict[str, Any]:
    """Return a family's document, the same for all between two of some depths."""
    how = dict(family.document())
    shared = max((depth for depth in depths if depth <= family.depth), default=0)
    if shared:
        how.update(name="", depth=shared)
    return how


def _shape(schedule: Schedule) -> _Shape:
    """Return what makes a schedule the same one for families that differ in depth only."""
    s = schedule
    return (
        s.tile_rows,
        s.tile_columns,
        s.tile_vectors,
        s.panels > 1,
        s.chunk_iterations == 0,
        s.inside_positions,
        s.group_tiles,
    )
