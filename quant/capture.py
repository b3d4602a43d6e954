"""Capture: a user's module becomes a NetworkGraph, through torch.export."""

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from quant.errors import CaptureError
from quant.fold import fold_batch_norm
from quant.graph import (
    Clip,
    LayerParameters,
    NetworkGraph,
    Node,
    Window,
    quantized_tensors,
)
from quant.graph_passes import check_nodes, drop_unread, fuse_clips
from quant.layers import LayerSpec

__all__ = ["capture"]

aten = torch.ops.aten


def capture(
    module: nn.Module, example: torch.Tensor
) -> tuple[NetworkGraph, dict[str, LayerParameters]]:
    """Capture a module as a graph of operators that have integer forms.

    Args:
        module: The float network; it is copied and exported in evaluation mode.
        example: One input, float32 `[N, C, H, W]` or `[N, F]`; the batch is not baked in.

    Returns:
        The graph and the folded float parameters by layer name.

    Raises:
        CaptureError: the module cannot be exported or uses an operator with no integer form; the
            message names the operator, the module and the source line where they are known.
    """
    program = _export(module, example)
    builder = _Builder(program)
    for node in program.graph.nodes:
        builder.add(node)
    return builder.finish()


def _export(module: nn.Module, example: torch.Tensor) -> Any:
    if example.ndim not in (2, 4):
        raise CaptureError(
            f"expected an example input [N, C, H, W] or [N, F], found {list(example.shape)}"
        )
    plain = copy.deepcopy(module).eval()
    pair = example[:1].repeat(2, *[1] * (example.ndim - 1))  # export specialises a batch of 1
    try:
        with torch.no_grad():
            return torch.export.export(
                plain, (pair,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
            )
    except Exception as error:
        first = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise CaptureError(
            f"{type(module).__name__} cannot be captured by torch.export: {first.strip()}",
            "the forward pass must take one tensor and must not branch on values",
        ) from error


class _Builder:
    """Turns exported nodes into ours, one at a time."""

    def __init__(self, program: Any) -> None:
        signature = program.graph_signature
        self._state = {**program.state_dict, **dict(program.constants)}
        self._state_names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        self._inputs = set(signature.user_inputs)
        self.nodes: list[Node] = []
        self.parameters: dict[str, LayerParameters] = {}
        self._geometry: dict[str, dict[str, Any]] = {}
        self._alias: dict[str, str] = {}
        self._output = ""

    def add(self, node: fx.Node) -> None:
        if node.op == "placeholder":
            if node.name in self._inputs:
                self._input(node)
        elif node.op == "output":
            self._set_output(node)
        elif node.op == "call_function":
            self._call(node)

    def _input(self, node: fx.Node) -> None:
        if self.nodes:
            raise CaptureError(f"expected a network with one input, found a second, {node.name!r}")
        self.nodes.append(Node(name=node.name, kind="input", inputs=(), shape=_shape(node)))

    def _set_output(self, node: fx.Node) -> None:
        results = node.args[0]
        if not isinstance(results, tuple | list) or len(results) != 1:
            raise CaptureError("expected a network with one output tensor, found several")
        self._output = self.source(results[0])

    def _call(self, node: fx.Node) -> None:
        if node.target in (aten.sym_size.int, operator.mul, operator.getitem):
            return  # arithmetic on the batch size, read again where a view uses it
        handler = _HANDLERS.get(node.target)
        if handler is None:
            raise CaptureError(
                f"the operator {node.target} has no integer form: {where(node)}",
                "supported: Conv2d, Linear, BatchNorm2d after them, ReLU, ReLU6, addition, max and "
                "average pooling, flatten, concatenation, dropout",
            )
        handler(self, node)

    def tensor(self, argument: object) -> torch.Tensor | None:
        """Return the parameter or buffer behind an argument."""
        if not isinstance(argument, fx.Node) or argument.name not in self._state_names:
            return None
        tensor: torch.Tensor = self._state[self._state_names[argument.name]].detach()
        return tensor

    def source(self, argument: object) -> str:
        if not isinstance(argument, fx.Node):
            raise CaptureError(f"expected a tensor, found the constant {argument!r}")
        name = self._alias.get(argument.name, argument.name)
        if not any(node.name == name for node in self.nodes):
            raise CaptureError(f"{where(argument)}: this tensor is not computed from the input")
        return name

    def alias(self, node: fx.Node) -> None:
        """An operator that changes nothing in evaluation mode."""
        self._alias[node.name] = self.source(node.args[0])

    def emit(self, node: fx.Node, kind: Any, sources: list[object], **attributes: Any) -> None:
        self.nodes.append(
            Node(
                name=node.name,
                kind=kind,
                inputs=tuple(self.source(source) for source in sources),
                shape=_shape(node),
                **attributes,
            )
        )

    def layer(self, node: fx.Node, kind: str, geometry: dict[str, Any]) -> None:
        weight, bias = self.tensor(node.args[1]), self.tensor(_argument(node, 2, None))
        if weight is None:
            raise CaptureError(f"the weight of {where(node)} is not a parameter")
        name = self._layer_name(node)
        self.parameters[name] = LayerParameters(
            weight=weight.clone(),
            bias=torch.zeros(weight.shape[0]) if bias is None else bias.clone(),
        )
        self._geometry[name] = geometry
        self.emit(node, kind, [node.args[0]], layer=name)

    def _layer_name(self, node: fx.Node) -> str:
        assert isinstance(node.args[1], fx.Node)
        name = str(self._state_names[node.args[1].name]).rpartition(".")[0] or node.name
        if name in self.parameters:
            raise CaptureError(
                f"{name} is called twice; a layer has one input tensor", "give each call a module"
            )
        return name

    def batch_norm(self, node: fx.Node) -> None:
        source = self.source(node.args[0])
        producer = next(n for n in self.nodes if n.name == source)
        assert isinstance(node.args[0], fx.Node)
        alone = producer.kind in ("conv2d", "linear") and len(node.args[0].users) == 1
        if not alone:
            raise CaptureError(
                f"batch norm must follow a Conv2d or Linear that nothing else reads: {where(node)}"
            )
        gamma, beta, mean, variance = (self.tensor(argument) for argument in node.args[1:5])
        assert mean is not None
        assert variance is not None
        self.parameters[producer.layer] = fold_batch_norm(
            self.parameters[producer.layer],
            gamma,
            beta,
            mean,
            variance,
            epsilon=float(node.args[7]),  # type: ignore[arg-type]
        )
        self._alias[node.name] = source

    def finish(self) -> tuple[NetworkGraph, dict[str, LayerParameters]]:
        fused, output = fuse_clips(self.nodes, self._output)
        nodes = drop_unread(fused, output)
        check_nodes(nodes, output)
        graph = NetworkGraph(nodes=tuple(nodes), output=output, layers=self._layer_specs(nodes))
        return graph, {layer.name: self.parameters[layer.name] for layer in graph.layers}

    def _layer_specs(self, nodes: list[Node]) -> tuple[LayerSpec, ...]:
        tensors, shapes = quantized_tensors(nodes), {node.name: node.shape for node in nodes}
        specs = []
        for node in nodes:
            if not node.layer:
                continue
            weight = self.parameters[node.layer].weight
            specs.append(
                LayerSpec(
                    name=node.layer,
                    kind=node.kind,  # type: ignore[arg-type]
                    out_channels=weight.shape[0],
                    input_shape=shapes[node.inputs[0]],
                    output_shape=node.shape,
                    tensor=tensors[node.inputs[0]],
                    reads_input=tensors[node.inputs[0]] == nodes[0].name,
                    macs=weight.numel() * _positions(node.shape),
                    parameters=weight.numel() + weight.shape[0],
                    **self._geometry[node.layer],
                )
            )
        return tuple(specs)


def _positions(shape: tuple[int, ...]) -> int:
    return shape[1] * shape[2] if len(shape) == 3 else 1


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(int(size) for size in node.meta["val"].shape[1:])


def where(node: fx.Node) -> str:
    """Return the module and the user's source line behind an exported node."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(list(stack.values())), ("", ""))
    kind = getattr(kind, "__name__", str(kind)).rpartition(".")[2]
    module = f"module {path or 'the network itself'} ({kind})" if kind else f"node {node.name}"
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    places = [line for line in lines if line.startswith("File ") and "/torch/" not in line]
    return f"{module}, {places[-1]}" if places else module


def _argument(node: fx.Node, position: int, default: Any) -> Any:
    return node.args[position] if len(node.args) > position else default


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return (value, value)
    values = [int(v) for v in value]
    return (values[0], values[-1])


def _conv2d(builder: _Builder, node: fx.Node) -> None:
    weight = builder.tensor(node.args[1])
    groups = int(_argument(node, 6, 1))
    padding = _argument(node, 4, 0)
    if isinstance(padding, str):
        raise CaptureError(f"padding={padding!r} is not supported: {where(node)}", "give numbers")
    assert weight is not None
    builder.layer(
        node,
        "conv2d",
        {
            "in_channels": weight.shape[1] * groups,
            "kernel": _pair(weight.shape[2:]),
            "stride": _pair(_argument(node, 3, 1)),
            "padding": _pair(padding),
            "dilation": _pair(_argument(node, 5, 1)),
            "groups": groups,
        },
    )


def _linear(builder: _Builder, node: fx.Node) -> None:
    weight = builder.tensor(node.args[1])
    if weight is None or len(_shape(node)) != 1:
        raise CaptureError(f"Linear is supported on [N, features] only: {where(node)}")
    builder.layer(node, "linear", {"in_channels": weight.shape[1]})


def _relu(builder: _Builder, node: fx.Node) -> None:
    builder.emit(node, "clip", [node.args[0]], clip=Clip())


def _hardtanh(builder: _Builder, node: fx.Node) -> None:
    low, high = _argument(node, 1, -1.0), _argument(node, 2, 1.0)
    if low != 0 or high is None or not high > 0:
        raise CaptureError(f"a clip must be ReLU or ReLU6, found [{low}, {high}]: {where(node)}")
    builder.emit(node, "clip", [node.args[0]], clip=Clip(maximum=float(high)))


def _add(builder: _Builder, node: fx.Node) -> None:
    if not all(isinstance(argument, fx.Node) for argument in node.args[:2]) or node.kwargs:
        raise CaptureError(f"only the sum of two tensors is supported: {where(node)}")
    if _shape(node.args[0]) != _shape(node.args[1]):  # type: ignore[arg-type]
        raise CaptureError(f"the sum of two shapes (broadcasting) is not supported: {where(node)}")
    builder.emit(node, "add", list(node.args[:2]))


def _max_pool(builder: _Builder, node: fx.Node) -> None:
    _plain_pool(node, _argument(node, 5, False), _pair(_argument(node, 4, 1)) != (1, 1))
    builder.emit(node, "max_pool", [node.args[0]], window=_window(node))


def _avg_pool(builder: _Builder, node: fx.Node) -> None:
    window = _window(node)
    uneven = window.padding != (0, 0) and not _argument(node, 5, True)
    _plain_pool(node, _argument(node, 4, False), uneven or _argument(node, 6, None) is not None)
    builder.emit(node, "avg_pool", [node.args[0]], window=window)


def _window(node: fx.Node) -> Window:
    kernel = _pair(node.args[1])
    stride = _argument(node, 2, None)
    return Window(
        kernel=kernel,
        stride=_pair(stride) if stride else kernel,
        padding=_pair(_argument(node, 3, 0)),
    )


def _plain_pool(node: fx.Node, ceil_mode: bool, other: bool) -> None:
    if ceil_mode or other:
        raise CaptureError(
            f"pooling with ceil_mode, dilation, a divisor or uncounted padding is not supported: "
            f"{where(node)}"
        )


def _adaptive_avg_pool(builder: _Builder, node: fx.Node) -> None:
    source, target = _shape(node.args[0]), _shape(node)  # type: ignore[arg-type]
    if source[1] % target[1] or source[2] % target[2]:
        raise CaptureError(
            f"adaptive pooling from {source[1:]} to {target[1:]} does not divide: {where(node)}"
        )
    kernel = (source[1] // target[1], source[2] // target[2])
    window = Window(kernel=kernel, stride=kernel, padding=(0, 0))
    builder.emit(node, "avg_pool", [node.args[0]], window=window)


def _mean(builder: _Builder, node: fx.Node) -> None:
    source = _shape(node.args[0])  # type: ignore[arg-type]
    dims = sorted(int(d) % 4 for d in _argument(node, 1, []))
    if len(source) != 3 or dims != [2, 3]:
        raise CaptureError(f"only the mean over height and width is supported: {where(node)}")
    kernel = (source[1], source[2])
    window = Window(kernel=kernel, stride=kernel, padding=(0, 0))
    if _argument(node, 2, False):
        builder.emit(node, "avg_pool", [node.args[0]], window=window)
        return
    pooled = f"{node.name}_pooled"
    source_name = builder.source(node.args[0])
    builder.nodes.append(
        Node(
            name=pooled,
            kind="avg_pool",
            inputs=(source_name,),
            shape=(source[0], 1, 1),
            window=window,
        )
    )
    builder.nodes.append(Node(name=node.name, kind="flatten", inputs=(pooled,), shape=_shape(node)))


def _flatten(builder: _Builder, node: fx.Node) -> None:
    source, target = _shape(node.args[0]), _shape(node)  # type: ignore[arg-type]
    if source == target:
        builder.alias(node)
        return
    size = 1
    for extent in source:
        size *= extent
    if len(source) != 3 or target != (size,):
        raise CaptureError(f"only a flatten to [N, features] is supported: {where(node)}")
    builder.emit(node, "flatten", [node.args[0]])


def _concat(builder: _Builder, node: fx.Node) -> None:
    if _argument(node, 1, 0) not in (1, -3) or len(_shape(node)) != 3:
        raise CaptureError(f"only concatenation over channels is supported: {where(node)}")
    builder.emit(node, "concat", list(node.args[0]))  # type: ignore[arg-type]


_HANDLERS: dict[Any, Callable[[_Builder, fx.Node], None]] = {
    aten.conv2d.default: _conv2d,
    aten.conv2d.padding: _conv2d,
    aten.linear.default: _linear,
    aten.batch_norm.default: _Builder.batch_norm,
    aten.relu.default: _relu,
    aten.relu_.default: _relu,
    aten.hardtanh.default: _hardtanh,
    aten.hardtanh_.default: _hardtanh,
    aten.relu6.default: lambda b, n: b.emit(n, "clip", [n.args[0]], clip=Clip(maximum=6.0)),
    aten.clamp.default: _hardtanh,
    aten.add.Tensor: _add,
    aten.add_.Tensor: _add,
    aten.max_pool2d.default: _max_pool,
    aten.avg_pool2d.default: _avg_pool,
    aten.adaptive_avg_pool2d.default: _adaptive_avg_pool,
    aten.mean.dim: _mean,
    aten.flatten.using_ints: _flatten,
    aten.view.default: _flatten,
    aten.reshape.default: _flatten,
    aten.cat.default: _concat,
    aten.dropout.default: _Builder.alias,
    aten.feature_dropout.default: _Builder.alias,
    aten.contiguous.default: _Builder.alias,
    aten.clone.default: _Builder.alias,
    aten.alias.default: _Builder.alias,
}
