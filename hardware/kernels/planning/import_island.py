"""Importing a float island into TVM, and saying which of its operators TVM cannot take."""

from collections.abc import Callable
from functools import partial
from typing import Any

import tvm
from tvm import relax

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
    from tvm.relax.frontend.torch import from_exported_program
    from tvm.relax.frontend.torch.exported_program_translator import ExportedProgramImporter

    from quant.capture.island_program import export_island

    program = export_island(module, shapes)
    known = {**ExportedProgramImporter().create_convert_map(), **_OURS}
    for node in program.graph.nodes:
        if node.op == "call_function" and node.target.__name__ not in known:
            raise BuildError(_sentence(name, node, "TVM has no form of it"))
    made: list[tuple[Any, Any]] = []
    imported = from_exported_program(
        program,
        custom_convert_map={operator: partial(_convert, name, made) for operator in known},
        run_ep_decomposition=False,
        unwrap_unit_return_tuple=True,
    )
    _check_kernels(name, imported, made)
    return imported


def _convert(island: str, made: list[tuple[Any, Any]], node: Any, importer: Any) -> Any:
    """Convert one operator as TVM does, and name it where that fails."""
    operator = node.target.__name__
    ours = _OURS.get(operator)
    try:
        value = ours(node, importer) if ours else importer.create_convert_map()[operator](node)
    except Exception as error:  # the importer raises nearly anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BuildError(_sentence(island, node, reason)) from error
    made.append((node, value))
    return value


def _check_kernels(island: str, module: Any, made: list[tuple[Any, Any]]) -> None:
    """Refuse operators that TVM computes by calling a library, and not by a kernel.

    Args:
        island: Its name.
        module: Of Relax.
        made: Each operator of PyTorch's with what it became, in order.
    """
    bindings = [binding for block in module["main"].body.blocks for binding in block.bindings]
    places = {binding.var.name: place for place, binding in enumerate(bindings)}
    for place, binding in enumerate(bindings):
        called = getattr(binding.value, "op", None)
        if not isinstance(called, tvm.ir.Op) or called.get_attr("FLegalize") is not None:
            continue
        for node, value in made:
            if places.get(getattr(value, "name", ""), -1) >= place:
                raise BuildError(_sentence(island, node, "TVM has no kernel for it"))


def _reduce(reduction: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Return a converter of what reduces axes: `(x, axes, keepdim)`."""

    def convert(node: Any, importer: Any) -> Any:
        axes = node.args[1] if len(node.args) > 1 else []
        keep = len(node.args) > 2 and node.args[2]
        reduced = reduction(importer.env[node.args[0]], list(axes) or None, keep)
        return importer.block_builder.emit(reduced)

    return convert


def _index_select(node: Any, importer: Any) -> Any:
    x, axis, index = node.args
    x, index = importer.env[x], importer.env[index]
    # Nothing is out of bounds, but TVM's other way warns about it each time.
    return importer.block_builder.emit(relax.op.take(x, index, axis, mode="clip"))


def _embedding(node: Any, importer: Any) -> Any:
    table, index = (importer.env[source] for source in node.args[:2])
    return importer.block_builder.emit(relax.op.take(table, index, 0, mode="clip"))


def _grid_sample(node: Any, importer: Any) -> Any:
    """Sample as PyTorch does, whose grids have the two coordinates last: TVM's have them first."""
    x, grid, method, padding, corners = node.args
    first = importer.block_builder.emit(relax.op.permute_dims(importer.env[grid], [0, 3, 1, 2]))
    sampled = relax.op.image.grid_sample(
        importer.env[x],
        first,
        method=_METHODS[method],
        layout="NCHW",
        padding_mode=_PADDINGS[padding],
        align_corners=bool(corners),
    )
    return importer.block_builder.emit(sampled)


_METHODS = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")
"""By PyTorch's numbers."""
_OURS: dict[str, Callable[[Any, Any], Any]] = {
    "amax.default": _reduce(relax.op.max),
    "amin.default": _reduce(relax.op.min),
    "embedding.default": _embedding,
    "grid_sampler_2d.default": _grid_sample,
    "index_select.default": _index_select,
}
"""Operators that TVM's importer lacks or takes with a warning."""


def _sentence(island: str, node: Any, reason: str) -> str:
    from quant.capture.exported import operator_name, place_of

    place = place_of(node)
    return (
        f"TVM cannot compile the float island {island} because of the operator "
        f"{operator_name(node)}: {reason}{place and f' ({place})'}"
    )
