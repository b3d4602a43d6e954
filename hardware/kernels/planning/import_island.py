"""Importing a float island into TVM, and saying which of its operators TVM cannot take."""

from collections.abc import Callable
from functools import partial
from typing import Any

from tvm.relax.frontend.torch import from_exported_program
from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

from hardware.errors import BuildError


def import_island(name: str, module: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """Return a float island as a module of Relax.

    Args:
        name: Of the island, for messages.
        module: An `IslandModule`.
        shapes: Of its inputs, batch included.

    Raises:
        BuildError: TVM lacks an operator of the island, or these arguments of one.
    """
    # Imported where there are islands: they import torch, which takes seconds.
    from quant.capture.island_program import export_island

    program = export_island(module, shapes)
    known = ExportedProgramImporter().create_convert_map()
    for node in program.graph.nodes:
        if node.op == "call_function" and node.target.__name__ not in known:
            raise BuildError(_sentence(name, node, "TVM has no form of it"))
    return from_exported_program(
        program,
        custom_convert_map={operator: partial(_convert, name) for operator in known},
        run_ep_decomposition=False,
        unwrap_unit_return_tuple=True,
    )


def _convert(island: str, node: Any, importer: Any) -> Any:
    """Convert one operator as TVM does, and name it where that fails."""
    convert: Callable[[Any], Any] = importer.create_convert_map()[node.target.__name__]
    try:
        return convert(node)
    except Exception as error:  # the importer raises nearly anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BuildError(_sentence(island, node, reason)) from error


def _sentence(island: str, node: Any, reason: str) -> str:
    from quant.capture.exported import operator_name, place_of

    place = place_of(node)
    return (
        f"TVM cannot compile the float island {island} because of the operator "
        f"{operator_name(node)}: {reason}{place and f' ({place})'}"
    )
