"""PyTorch's operators that move values, in ONNX's: shapes, parts, padding, resizing.

Source: onnx.ai/onnx/operators, version 21; PyTorch's native_functions.yaml for the names.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from experiments.export.onnx_writer import Given, Write, Writer, as_list, expect

_END = 2**63 - 1
"""ONNX's "to the end" in slices."""


def _cat(to: Writer, given: Given) -> str:
    return to.emit("Concat", list(given["tensors"]), axis=given["dim"])


def _parts(to: Writer, given: Given) -> list[str]:
    """Write a chunk or a split as one slice for each part."""
    dim, length = given["dim"], to.shape(given["self"])[given["dim"]]
    sizes = given.get("split_sizes")
    if sizes is None:
        size = given.get("split_size") or -(-length // given["chunks"])
        sizes = [min(size, length - start) for start in range(0, length, size)]
    expect(dim != 0 and all(isinstance(size, int) for size in sizes), "it splits the batch")
    starts = np.cumsum([0, *sizes]).tolist()
    pairs = pairwise(starts)
    return [_emit_slice(to, given["self"], dim, start, end, 1) for start, end in pairs]


def _slice(to: Writer, given: Given) -> str:
    start, end, step = given["start"] or 0, given["end"], given["step"]
    end = _END if end is None else end
    expect(all(isinstance(place, int) for place in (start, end, step)), "it slices the batch")
    return _emit_slice(to, given["self"], given["dim"], start, end, step)


def _emit_slice(to: Writer, value: Any, dim: int, start: int, end: int, step: int) -> str:
    places = [to.constant([place]) for place in (start, end, dim, step)]
    return to.emit("Slice", [value, *places])


def _permute(to: Writer, given: Given) -> str:
    rank = len(to.shape(given["self"]))
    return to.emit("Transpose", [given["self"]], perm=[dim % rank for dim in given["dims"]])


def _transpose(to: Writer, given: Given) -> str:
    order = list(range(len(to.shape(given["self"]))))
    one, other = given["dim0"], given["dim1"]
    order[one], order[other] = order[other], order[one]
    return to.emit("Transpose", [given["self"]], perm=order)


def _reshape(to: Writer, given: Given) -> str:
    sizes = list(given.get("size") or given["shape"])
    open_places = [place for place, size in enumerate(sizes) if not isinstance(size, int)]
    expect(len(open_places) <= 1, "the batch size is in it more than once")
    for place in open_places:
        if -1 in sizes:
            expect(place == 0, "its shape has two sizes that are not known")
        sizes[place] = 0 if -1 in sizes else -1
    return to.emit("Reshape", [given["self"], to.constant(sizes)])


def _flatten(to: Writer, given: Given) -> str:
    shape = to.shape(given["self"])
    first, last = (dim % len(shape) for dim in (given["start_dim"], given["end_dim"]))
    expect(first > 0, "it flattens the batch")
    sizes = [0] * first + [-1] + list(shape[last + 1 :])
    return to.emit("Reshape", [given["self"], to.constant(sizes)])


def _axes(kind: str) -> Write:
    return lambda to, given: to.emit(kind, [given["self"], to.constant(as_list(given["dim"]))])


def _expand(to: Writer, given: Given) -> str:
    sizes = [1 if size == -1 else size for size in given["size"]]  # in ONNX both sides broadcast
    return to.emit("Expand", [given["self"], to.sizes(sizes)])


def _filled(value: float) -> Write:
    def write(to: Writer, given: Given) -> str:
        return to.emit("Expand", [to.constant(value), to.sizes(given["size"])])

    return write


def _select(to: Writer, given: Given) -> str:
    dim, index = given["dim"], given["index"]
    expect(isinstance(index, int), "it selects by the batch size")
    return _emit_selected(to, given["self"], dim, index)


def _emit_selected(to: Writer, value: Any, dim: int, index: int) -> str:
    part = _emit_slice(to, value, dim, index, index + 1 if index != -1 else _END, 1)
    return to.emit("Squeeze", [part, to.constant([dim])])


def _unbind(to: Writer, given: Given) -> list[str]:
    count = to.shape(given["self"])[given["dim"]]
    return [_emit_selected(to, given["self"], given["dim"], place) for place in range(count)]


def _unflatten(to: Writer, given: Given) -> str:
    rank = len(to.shape(given["self"]))
    dim = given["dim"] % rank
    expect(dim == rank - 1, "it parts another size than the last")
    expect(all(isinstance(size, int) for size in given["sizes"]), "it parts by the batch size")
    return to.emit("Reshape", [given["self"], to.constant([0] * dim + list(given["sizes"]))])


_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad(to: Writer, given: Given) -> str:
    rank, pad = len(to.shape(given["self"])), list(given["pad"])
    expect(all(isinstance(size, int) for size in pad), "it pads by the batch size")
    pad += [0] * (2 * rank - len(pad))  # PyTorch begins with the last axis
    pads = to.constant([*pad[0::2][::-1], *pad[1::2][::-1]])
    mode, value = _PAD_MODES[given.get("mode", "constant")], given.get("value") or 0.0
    return to.emit("Pad", [given["self"], pads, float(value)], mode=mode)


def _upsample(mode: str) -> Write:
    def write(to: Writer, given: Given) -> str:
        size, made = to.shape(given["input"])[2:], to.shape()[2:]
        whole = all(new % old == 0 for old, new in zip(size, made, strict=True))
        expect(whole or given.get("scale_factors") is None, "its factor is no whole number")
        how = "asymmetric" if mode == "nearest" else "half_pixel"
        if given.get("align_corners"):
            how = "align_corners"
        return to.emit(
            "Resize",
            [given["input"], None, None, to.constant(list(made))],
            axes=list(range(2, 2 + len(made))),
            mode=mode,
            coordinate_transformation_mode=how,
            nearest_mode="floor",
        )

    return write


MOVES: dict[str, Write] = {
    "aten.cat.default": _cat,
    "aten.chunk.default": _parts,
    "aten.constant_pad_nd.default": _pad,
    "aten.expand.default": _expand,
    "aten.flatten.using_ints": _flatten,
    "aten.pad.default": _pad,
    "aten.ones.default": _filled(1.0),
    "aten.permute.default": _permute,
    "aten.pixel_shuffle.default": lambda to, given: to.emit(
        "DepthToSpace", [given["self"]], blocksize=given["upscale_factor"], mode="CRD"
    ),
    "aten.reshape.default": _reshape,
    "aten.select.int": _select,
    "aten.slice.Tensor": _slice,
    "aten.split.Tensor": _parts,
    "aten.split_with_sizes.default": _parts,
    "aten.squeeze.dim": _axes("Squeeze"),
    "aten.squeeze.dims": _axes("Squeeze"),
    "aten.transpose.int": _transpose,
    "aten.unbind.int": _unbind,
    "aten.unflatten.int": _unflatten,
    "aten.unsqueeze.default": _axes("Unsqueeze"),
    "aten.upsample_bilinear2d.vec": _upsample("linear"),
    "aten.upsample_nearest2d.vec": _upsample("nearest"),
    "aten.view.default": _reshape,
    "aten.zeros.default": _filled(0.0),
}
"""By PyTorch's name and overload."""
