"""LocalTiles: the worker process as the place where a tile search compiles and times."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hardware.errors import BuildError
from hardware.graph.random_codes import BitPair
from hardware.host.worker_client import CandidateError, WorkerLostError
from hardware.wire.tile_task import TileTask
from quant.deploy_graph import DeployGraph

__all__ = ["LocalTiles"]


class LocalTiles:
    """Passes the search on to the worker's `Workbench`; a lost worker costs one search."""

    def __init__(self, call: Callable[..., Any]) -> None:
        """Keep how the worker is called: with a method's name and its arguments."""
        self._ask = call

    def tile_tasks(
        self, graph: DeployGraph, pairs: Mapping[str, Sequence[BitPair]]
    ) -> list[TileTask]:
        """Return the searches of a network, one for each choice that its layers need."""
        tasks: list[TileTask] = self._call("tile_tasks", graph, pairs)
        return tasks

    def compile_tiles(self, part: DeployGraph) -> None:
        """Compile and check the schedules worth measuring for one layer.

        Raises:
            BuildError: one of them cannot be compiled, is wrong, or ends the worker.
        """
        self._call("compile_tiles", part)

    def time_tiles(self) -> bool:
        """Time what was compiled last and keep the fastest; return whether it is a new tile.

        Raises:
            BuildError: one of them ends the worker.
        """
        return bool(self._call("time_tiles"))

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return self._ask(method, *arguments)
        except (CandidateError, WorkerLostError) as error:
            raise BuildError(str(error)) from None
