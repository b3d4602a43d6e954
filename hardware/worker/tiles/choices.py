"""TileChoices: which schedules the tile search found fastest, kept on disk.

One small JSON file for each choice, named after a digest of its key and holding the whole key. A
file appears complete, by renaming, and counts only where its key is equal; otherwise the layer is
searched again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hardware.errors import TargetError
from hardware.kernels.compiling.cache import cache_folder
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.families.family import Family
from hardware.kernels.planning.context import source_digest
from hardware.kernels.schedule.schedule import Schedule, candidates, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from quant.records.atomic_file import write_atomically
from quant.records.disk import what_helps
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

_SHARED_DEPTH = 32
"""Family depths from which one choice serves all. Measured over 11 shapes: what depth 32 chooses
makes depth 128 faster by 4.7 % (mean), and what depth 128 chooses by 4.2 %; but depth 16 gains
nothing by the choice of 32, nor 8 by that of 16."""

_Shape = tuple[int, int, int, bool, bool, int, int]


class TileChoices:
    """Chosen schedules of one target. Several processes may share its folder.

    What was found or missed once stays so for this object: a program must not change its tiles
    while a table of its layers is measured.
    """

    def __init__(self, config: TargetConfig) -> None:
        """Open the folder that the configuration names; it is made with the first choice."""
        self.folder = cache_folder(config.tile_choices, "tiles")
        self._target = KernelTarget.of(config)
        self._known: dict[str, _Shape | None] = {}

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
        document = {"key": json.loads(key), "tile": _shape(schedule), "measured": dict(measured)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file(key), json.dumps(document, indent=1))
        except OSError as error:
            raise TargetError(
                f"cannot write the tile choices {self.folder}: {error.strerror or error}",
                what_helps(error, "--target.tile-choices FOLDER, or the variable XDG_CACHE_HOME"),
            ) from None
        self._known[key] = _shape(schedule)

    def key(self, geometry: Geometry, family: Family) -> str:
        """Return what a choice depends on, as canonical JSON; equal keys share one choice."""
        # Borders move values and change no sum.
        shapes = replace(geometry, in_border=(0, 0), out_border=(0, 0)).document()
        how = dict(family.document())
        if family.depth >= _SHARED_DEPTH:
            how.update(name="", depth=_SHARED_DEPTH)
        key = {
            "geometry": shapes,
            "family": how,
            "source": source_digest(),
            "target": self._target.document(),
        }
        return json.dumps(key, sort_keys=True, separators=(",", ":"))

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
