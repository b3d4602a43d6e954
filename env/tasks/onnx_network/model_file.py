"""Reading an ONNX file that anybody may have sent: parsed, checked, and nothing of it run."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from env.errors import TaskError
from env.tasks.onnx_network.limits import OnnxLimits
from env.tasks.onnx_network.names import shown
from env.tasks.onnx_network.package import import_onnx
from env.tasks.onnx_network.wire import WireError, check_wire
from quant.records.regular_file import read_regular

_AGAIN = "export it again, or copy or download it again"
_LEAST_OPSET = 7
"""Operators of before combine shapes in another way."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ModelFile:
    """A model as the file has it, checked."""

    name: str
    """Of the file, for messages."""
    graph: Any
    """`onnx.GraphProto`, with the weights of other files in it."""
    opset: int
    digest: str
    """Of the file and of the weights beside it."""


def read_model(path: Path, limits: OnnxLimits) -> ModelFile:
    """Return the model of an ONNX file.

    Args:
        path: The file; weights in files of their own must lie beside it.
        limits: How large it may be.

    Raises:
        TaskError: there is no such file, it is too large, or no valid float model.
    """
    onnx = import_onnx(f"the network {path}")
    data = _read(path, path, limits.file_bytes)
    try:
        check_wire(data, onnx.ModelProto.DESCRIPTOR, limits)
        model = onnx.ModelProto.FromString(data)
    except WireError as error:
        raise TaskError(f"{path} is damaged, or no ONNX model: {error}", _AGAIN) from None
    except Exception as error:  # protobuf's own, of several classes
        raise TaskError(f"{path} is damaged, or no ONNX model: {_first(error)}", _AGAIN) from None
    digest = hashlib.sha256(data)
    _check_plain(model, path, limits)
    for other, content in _external(onnx, model, path, limits.file_bytes - len(data)):
        digest.update(hashlib.sha256(other.encode() + b"\0" + content).digest())
    opset = _opset(onnx, model, path)
    for value in (*model.graph.input, *model.graph.output):
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            # The checker wants one, and runtimes do not.
            value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # onnx's own, and RuntimeError of C++
        raise TaskError(f"{path} is no valid ONNX model: {_first(error)}", _AGAIN) from None
    return ModelFile(name=str(path), graph=model.graph, opset=opset, digest=digest.hexdigest()[:16])


def _read(path: Path, model: Path, most_bytes: int) -> bytes:
    try:
        return read_regular(path, most_bytes)
    except OSError as error:
        reason = error.strerror or error
        what = f"the network {path}" if path == model else f"{path}, the weights of {model}"
        raise TaskError(
            f"cannot read {what}: {reason}",
            "" if path.is_absolute() else "start in the folder from which its path begins",
        ) from None


def _check_plain(model: Any, path: Path, limits: OnnxLimits) -> None:
    """Refuse what a network that trains has no use for."""
    graph = model.graph
    if not graph.node:
        raise TaskError(f"{path} is no ONNX model, or one without operators", _AGAIN)
    if len(graph.node) > limits.nodes:
        raise TaskError(
            f"{path} has {len(graph.node):,} operators, and at most {limits.nodes:,} are taken"
        )
    if model.functions:
        raise TaskError(
            f"{path} brings functions of its own ({shown(model.functions[0].name)})",
            "write them out: onnx.inliner.inline_local_functions",
        )
    if graph.sparse_initializer:
        raise TaskError(f"{path} has sparse weights", "export it with dense ones")


def _opset(onnx: Any, model: Any, path: Path) -> int:
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    newest = int(onnx.defs.onnx_opset_version())
    if len(versions) != 1 or not _LEAST_OPSET <= versions[0] <= newest:
        found = " and ".join(map(str, versions)) or "none"
        raise TaskError(
            f"{path}: expected operators of opset {_LEAST_OPSET} to {newest}, found {found}",
            "convert it: onnx.version_converter.convert_version(model, 20)",
        )
    return int(versions[0])


def _external(onnx: Any, model: Any, path: Path, most_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Put weights that lie in files beside the model into it; yield these files."""
    read: dict[str, bytes] = {}
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        place = entries.get("location", "")
        if place not in read:
            read[place] = _read(_beside(path, place, tensor.name), path, most_bytes)
            most_bytes -= len(read[place])
            yield place, read[place]
        content = read[place]
        offset = _number(entries.get("offset", "0"))
        length = _number(entries.get("length", str(len(content) - offset)))
        if min(offset, length) < 0 or offset + length > len(content):
            raise TaskError(
                f"{path}: the weights {shown(tensor.name)!r} are said to be where {shown(place)} "
                f"has no more bytes ({len(content):,})",
                _AGAIN,
            )
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = content[offset : offset + length]


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _beside(path: Path, place: str, tensor: str) -> Path:
    """Return the file of a name that lies in the model's folder, and nowhere else."""
    folder, found = path.parent, path.parent / place
    plain = bool(place) and place not in (".", "..") and not set(place) & set("/\\:\0")
    try:
        # A store of downloads has links for both, to one folder of its own.
        there = plain and found.resolve().parent in (folder.resolve(), path.resolve().parent)
    except (OSError, RuntimeError):
        there = False
    if not there:
        raise TaskError(
            f"{path}: expected the weights {shown(tensor)!r} in the file or in one beside it, "
            f"found {shown(place)!r}",
            "put them into it: onnx.save(onnx.load(FILE), FILE, save_as_external_data=False)",
        )
    return found


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1


def _first(error: Exception) -> str:
    return shown_line(str(error)) or type(error).__name__


def shown_line(text: str) -> str:
    """Return the first line of a text of others, as an end of a sentence."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return "".join(c if c.isprintable() else "?" for c in line[:200]).rstrip(".")
