"""From an ONNX file to a network that trains."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from env.errors import TaskError
from env.tasks.onnx_network.builder import Builder
from env.tasks.onnx_network.limits import DEFAULT_LIMITS, OnnxLimits
from env.tasks.onnx_network.model_file import ModelFile, read_model, shown_line
from env.tasks.onnx_network.names import shown
from env.tasks.onnx_network.network import OnnxNetwork
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.operators import HANDLERS
from env.tasks.onnx_network.package import import_onnx
from env.tasks.onnx_network.tensors import read_tensor, torch_type
from env.tasks.onnx_network.value import BATCHES, Value

_ENDS = {"cross-entropy": "Softmax", "bce": "Sigmoid"}
"""What a loss computes itself, and expects no network to have computed."""
_LOGITS = "logits"
_INTEGERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_HINTS = (
    dict.fromkeys(_CONTROL, "export it without branches and loops: they are fixed by the sizes")
    | dict.fromkeys(_INTEGERS, "give the float model that was quantized")
    | dict.fromkeys(
        ("LSTM", "GRU", "RNN"), "give the network itself with --task.model package.module:function"
    )
)
_OTHER_HINT = (
    "docs/tasks.md lists the operators that are taken; others come in with --task.model "
    "package.module:function"
)


def load_onnx_network(
    path: Path, example: torch.Tensor, *, loss: str = "", limits: OnnxLimits = DEFAULT_LIMITS
) -> OnnxNetwork:
    """Return the network of an ONNX file, in float32, with parameters that train.

    Nothing in the file is executed: its operators are looked up in a table of ours.

    Args:
        path: The file; weights in files of their own must lie beside it.
        example: Inputs `[N, ...]`, which give the sizes that the file leaves free.
        loss: Name of what it is trained by. Where it ends in the softmax or sigmoid that the loss
            computes itself, what it reads is returned too, as `logits`.
        limits: How large it may be.

    Raises:
        TaskError: the file is damaged, too large or no float model with one input, it does not take
            such inputs, or an operator of it is not taken; names the operator and the node.
    """
    model = read_model(path, limits)
    onnx = import_onnx(f"the network {path}")
    kept = {tensor.name for tensor in model.graph.initializer}
    source, batch = _input(onnx, model, kept, example)
    builder = Builder(
        dict(_values(onnx, model, source, example, limits)),
        source,
        batch,
        _readers(model.graph),
        limits,
    )
    for node in _nodes(onnx, model, limits):
        _add(builder, node)
    outputs = _outputs(builder, model, _ENDS.get(loss, ""))
    return builder.finish(outputs, model.digest)


def _input(
    onnx: Any, model: ModelFile, kept: set[str], example: torch.Tensor
) -> tuple[str, int | None]:
    """Return the name of the one input, and the batch that the file fixes."""
    inputs = [value for value in model.graph.input if value.name not in kept]
    if len(inputs) != 1:
        names = ", ".join(shown(value.name) for value in inputs[:4]) or "none"
        raise TaskError(
            f"{model.name}: expected a network with one input, found {len(inputs)} ({names})",
            "concatenate the inputs along the channels and split them in the network",
        )
    found = inputs[0].type.tensor_type
    kind = onnx.TensorProto.DataType
    number = found.elem_type
    name = kind.Name(number) if number in kind.values() else str(number)
    if not inputs[0].type.HasField("tensor_type") or name not in (
        *("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"),
    ):
        raise TaskError(
            f"{model.name}: expected an input of floats, found {name.lower()}",
            "export it with images that are divided by 255, or vectors in place of tokens",
        )
    sizes: list[int | None] = [
        int(dim.dim_value) if dim.HasField("dim_value") else None for dim in found.shape.dim
    ]
    given = list(example.shape)
    ranked = bool(sizes)
    alike = len(sizes) == len(given) and all(
        size in (None, one) for size, one in zip(sizes[1:], given[1:], strict=False)
    )
    if ranked and not alike:
        wanted = ", ".join("?" if size is None else str(size) for size in sizes[1:])
        raise TaskError(
            f"the network {model.name} cannot take inputs [N, {', '.join(map(str, given[1:]))}]: "
            f"it reads [N, {wanted}]",
            "its channels come last: convert it with --inputs-as-nchw (tf2onnx)"
            if len(sizes) == 4 and sizes[1:] == [*given[2:], given[1]]
            else "give inputs [N, C, H, W], [N, C, L] or [N, F] as the network reads them",
        )
    batch = sizes[0] if ranked else None
    if batch is not None and batch < 1:
        raise TaskError(f"{model.name}: expected a batch of 1 or more, found {batch}")
    return inputs[0].name, batch


def _values(
    onnx: Any, model: ModelFile, source: str, example: torch.Tensor, limits: OnnxLimits
) -> Iterator[tuple[str, Value]]:
    """Yield the network's input and the tensors that the file keeps."""
    first, second, third = (
        torch.empty(batch, *example.shape[1:], device="meta") for batch in BATCHES
    )
    yield source, Value(reference=source, probes=(first, second, third), computed=True)
    yield "", Value(reference="", probes=(first, second, third), computed=False)
    for tensor in model.graph.initializer:
        try:
            numbers = read_tensor(onnx, tensor, limits)
        except Exception as error:  # ours, or numpy's of bytes that do not fit
            raise TaskError(
                f"{model.name}: the weights {shown(tensor.name)!r} cannot be read: "
                f"{shown_line(str(error))}"
            ) from None
        yield (
            tensor.name,
            Value(
                reference=tensor.name,
                probes=(numbers,) * 3,
                computed=False,
                learned=numbers.is_floating_point(),
                origin=tensor.name,
            ),
        )


def _readers(graph: Any) -> Counter[str]:
    counted = Counter(name for node in graph.node for name in node.input)
    counted.update(value.name for value in graph.output)
    return counted


def _nodes(onnx: Any, model: ModelFile, limits: OnnxLimits) -> Iterator[OnnxNode]:
    for node in model.graph.node:
        plain = OnnxNode(
            kind=node.op_type,
            name=node.name,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            attributes={},
            opset=model.opset,
            file=model.name,
        )
        if node.domain not in ("", "ai.onnx") or node.op_type not in HANDLERS:
            domain = f" of {shown(node.domain)}" if node.domain else ""
            hint = _HINTS.get(node.op_type, _OTHER_HINT)
            if node.domain.startswith(("com.microsoft", "ai.onnx.contrib")):
                hint = "give the model as it was before a runtime optimised it"
            raise plain.refused(f"{domain} is not taken".strip(), hint)
        try:
            attributes = {a.name: _attribute(onnx, a, limits) for a in node.attribute}
        except Exception as error:
            raise plain.refused(f"has an attribute that is not taken: {error}") from None
        yield OnnxNode(
            kind=plain.kind,
            name=plain.name,
            inputs=plain.inputs,
            outputs=plain.outputs,
            attributes=attributes,
            opset=plain.opset,
            file=plain.file,
        )


def _attribute(onnx: Any, attribute: Any, limits: OnnxLimits) -> Any:
    kinds = onnx.AttributeProto
    if attribute.type == kinds.TENSOR:
        return read_tensor(onnx, attribute.t, limits)
    if attribute.type == kinds.STRING:
        return attribute.s.decode("utf-8", "replace")
    if attribute.name == "to" and attribute.type == kinds.INT:
        return torch_type(onnx, attribute.i)
    if attribute.type in (kinds.FLOAT, kinds.INT):
        return attribute.f if attribute.type == kinds.FLOAT else attribute.i
    if attribute.type in (kinds.FLOATS, kinds.INTS):
        return tuple(attribute.floats if attribute.type == kinds.FLOATS else attribute.ints)
    raise ValueError(shown(attribute.name))


def _add(builder: Builder, node: OnnxNode) -> None:
    try:
        HANDLERS[node.kind](builder, node)
    except TaskError:
        raise
    except Exception as error:  # PyTorch's, of shapes and settings that do not fit
        reason = shown_line(str(error)) or type(error).__name__
        raise node.refused(f"does not fit what it reads: {reason}") from error


def _outputs(builder: Builder, model: ModelFile, end: str) -> dict[str, str]:
    """Return what each output is called, and its value.

    Args:
        builder: What the network was made with.
        model: The file.
        end: The operator before which the logits are; empty where they are what is returned.
    """
    names = [value.name for value in model.graph.output]
    if not names:
        raise TaskError(f"{model.name}: expected a network with an output, found none")
    for name in names:
        value = builder.result(name)
        if value is None or not value.computed or not _is_batch(value):
            found = "nothing" if value is None else f"{list(value.probes[0].shape)}"
            raise TaskError(
                f"{model.name}: expected an output [N, ...] of N inputs, found {found} of "
                f"{BATCHES[0]} inputs for {shown(name)!r}",
                "export the network with its batch as the first size of inputs and outputs",
            )
    # A dot would be a name in a name.
    called = {shown(name).replace(".", "_"): name for name in names}
    last = [node for node in model.graph.node if names[0] in node.output and node.op_type == end]
    return {_LOGITS: last[0].input[0]} | called if last and _LOGITS not in called else called


def _is_batch(value: Value) -> bool:
    """Whether a value's first size is the batch."""
    return [probe.shape[:1] for probe in value.probes] == [(batch,) for batch in BATCHES]
