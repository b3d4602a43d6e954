"""GraphBuilder: collects nodes and folded parameters while an exported program is read."""

from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import fx, nn

from quant.capture.batch_norm import fold_batch_norm
from quant.capture.exported import argument, is_fixed, shape_of, where
from quant.capture.float_island import FloatIsland
from quant.capture.graph import (
    GraphOutput,
    LayerParameters,
    NetworkGraph,
    Node,
    NodeKind,
    quantized_tensors,
)
from quant.capture.graph_passes import check_places, drop_unread, fold_pads, fuse_clips
from quant.capture.island_module import island_module
from quant.capture.lookup import CapturedLookup, is_pointwise
from quant.capture.operator_groups import (
    OperatorGroup,
    end_outputs,
    join_islands,
    join_lookups,
    keep_in_float,
    keep_misplaced_in_float,
)
from quant.capture.outputs import exported_outputs
from quant.errors import CaptureError
from quant.layers import LayerKind, LayerSpec


class GraphBuilder:
    """Receives exported nodes in order; `finish` gives the graph.

    Args:
        program: What `torch.export.export` returned.
    """

    def __init__(self, program: Any) -> None:
        signature = program.graph_signature
        self._state = {**program.state_dict, **dict(program.constants)}
        self._state_names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self._inputs = set(signature.user_inputs)
        self._order = {node: place for place, node in enumerate(program.graph.nodes)}
        self._nodes: dict[str, Node] = {}
        self._parameters: dict[str, LayerParameters] = {}
        self._geometry: dict[str, dict[str, Any]] = {}
        self._same_as: dict[str, str] = {}
        self._exported: dict[str, fx.Node] = {}
        self._loose: dict[str, OperatorGroup] = {}
        self._groups: dict[str, OperatorGroup] = {}
        self._returned: list[GraphOutput] = []
        self._batch = ""

    def add_placeholder(self, node: fx.Node) -> None:
        """Take the network's input; parameters are placeholders too and are read where used."""
        if node.name not in self._inputs:
            return
        if self._nodes:
            raise CaptureError(f"expected a network with one input, found a second, {node.name!r}")
        self._batch = str(node.meta["val"].shape[0])
        self._add(Node(name=node.name, kind="input", inputs=(), shape=shape_of(node)))

    def add_node(
        self, node: fx.Node, kind: NodeKind, sources: list[Any], **attributes: Any
    ) -> None:
        """Add an operator that reads `sources`."""
        inputs = tuple(self.source(node, source) for source in sources)
        self._exported[node.name] = node
        self._add(
            Node(name=node.name, kind=kind, inputs=inputs, shape=shape_of(node), **attributes)
        )

    def add_float(self, node: fx.Node, reason: str) -> None:
        """Add an operator without an integer form of its own: a lookup, or else a float island.

        What it makes may be a mask, a tuple, or a tensor of a shape that cannot travel as codes;
        then it becomes a part of each island that needs it.
        """
        group = OperatorGroup()
        for source in node.all_input_nodes:
            if source.name in self._loose:
                group.take(self._loose[source.name])
            elif (name := self._own_name(source)) is not None and name not in group.inputs:
                group.inputs.append(name)
        group.nodes.append(node)
        group.reason = group.reason or reason
        if not group.inputs or not self._can_travel(node.meta["val"]):
            self._loose[node.name] = group
            return
        self._add_island(node, group)
        if group.nodes == [node] and is_pointwise(node, self._is_number):
            self._nodes[node.name] = replace(self._nodes[node.name], kind="lookup")

    def add_mean(self, node: fx.Node, attributes: dict[str, Any]) -> None:
        """Add a mean over height and width that drops them: a pooling and a flatten."""
        source = self.source(node, node.args[0])
        if self._nodes[source].kind == "input":
            raise CaptureError(f"the mean of the network's input, its 8-bit codes: {where(node)}")
        pooled = Node(
            name=f"{node.name}_pooled",
            kind="avg_pool",
            inputs=(source,),
            shape=(self._nodes[source].shape[0], 1, 1),
            **attributes,
        )
        self._add(pooled)
        self._add(Node(name=node.name, kind="flatten", inputs=(pooled.name,), shape=shape_of(node)))

    def add_layer(self, node: fx.Node, kind: LayerKind, geometry: dict[str, Any]) -> None:
        """Add a layer with its parameters; `geometry` holds LayerSpec's fields."""
        weight, bias = self.parameter(node, 1), self.parameter(node, 2)
        if weight is None:
            raise CaptureError(f"{where(node)}: the weight is not a parameter of the network")
        name = self._layer_name(node)
        if weight.ndim == 3:  # of a sequence, which is an image of one row
            weight = weight.unsqueeze(2)
        self._parameters[name] = LayerParameters(
            weight=weight.clone(),
            bias=torch.zeros(weight.shape[0]) if bias is None else bias.clone(),
        )
        self._geometry[name] = geometry
        self.add_node(node, kind, [node.args[0]], layer=name)

    def add_batch_norm(self, node: fx.Node) -> None:
        """Fold a batch norm into the layer before it."""
        source = self.source(node, node.args[0])
        layer = self._nodes[source].layer
        assert isinstance(node.args[0], fx.Node)
        if not layer or len(node.args[0].users) > 1:
            raise CaptureError(
                f"batch norm must follow a Conv2d or Linear that nothing else reads: {where(node)}"
            )
        gamma, beta, mean, variance = (self.parameter(node, position) for position in range(1, 5))
        if mean is None or variance is None:
            raise CaptureError(
                f"{where(node)}: this batch norm has no running statistics",
                "leave track_running_stats on",
            )
        self._parameters[layer] = fold_batch_norm(
            self._parameters[layer], gamma, beta, mean, variance, epsilon=float(argument(node, 7))
        )
        self._same_as[node.name] = source

    def pass_through(self, node: fx.Node) -> None:
        """Take an operator that changes nothing in evaluation mode."""
        self._same_as[node.name] = self.source(node, node.args[0])

    def set_outputs(self, node: fx.Node, structure: Any) -> None:
        """Take the program's end.

        Args:
            node: Its results.
            structure: How the user's forward pass returns them.
        """
        for name, value, shape in exported_outputs(node, structure, self._batch):
            loose = self._loose.get(value.name)
            if loose is not None and loose.inputs:
                self._add_island(value, loose)
            source = self._own_name(value)
            if source is None:
                raise CaptureError(f"the output {name!r} is not computed from the network's input")
            self._returned.append(GraphOutput(name=name, node=source, shape=shape))

    def source(self, node: fx.Node, value: Any) -> str:
        """Return the name of the node of ours behind an argument of an exported node."""
        if not isinstance(value, fx.Node):
            raise CaptureError(f"{where(node)}: expected a tensor, found the constant {value!r}")
        name = self._own_name(value)
        if name is None:
            raise CaptureError(f"{where(node)}: {value.name} is no tensor that travels as codes")
        return name

    def _own_name(self, value: fx.Node) -> str | None:
        name = self._same_as.get(value.name, value.name)
        return name if name in self._nodes else None

    def parameter(self, node: fx.Node, position: int) -> torch.Tensor | None:
        """Return the parameter or buffer that is an argument, or None where there is none.

        Raises:
            CaptureError: the argument is a computed tensor.
        """
        value = argument(node, position)
        if value is None:
            return None
        if not isinstance(value, fx.Node) or value.name not in self._state_names:
            raise CaptureError(f"{where(node)}: {value} is computed, not a parameter")
        tensor: torch.Tensor = self._state[self._state_names[value.name]].detach()
        return tensor

    def finish(self) -> tuple[NetworkGraph, dict[str, LayerParameters]]:
        """Return the graph, activations fused, and its layers' folded parameters."""
        returned = {output.node for output in self._returned}
        read = drop_unread(list(self._nodes.values()), returned)
        self._nodes = {node.name: node for node in read}
        self._groups = {name: self._groups[name] for name in self._groups if name in self._nodes}
        join_lookups(self._nodes, self._groups, self._exported, returned)
        keep_in_float(self._nodes, self._groups, self._exported, returned)
        keep_misplaced_in_float(self._nodes, self._groups, self._exported)
        join_islands(self._nodes, self._groups, self._exported, returned)
        outputs = end_outputs(self._nodes, self._returned)
        fused = fuse_clips(list(self._nodes.values()))
        nodes, folded = fold_pads(drop_unread(fused, [output.node for output in outputs]))
        for layer, added in folded.items():
            rows, columns = self._geometry[layer]["padding"]
            self._geometry[layer]["padding"] = (rows + added[0], columns + added[1])
        check_places(nodes)
        graph = NetworkGraph(
            nodes=tuple(nodes),
            returned=outputs,
            layers=self._layer_specs(nodes),
            islands=tuple(self._island(node.name) for node in nodes if node.kind == "island"),
            lookups=tuple(self._lookup(node.name) for node in nodes if node.kind == "lookup"),
        )
        return graph, {layer.name: self._parameters[layer.name] for layer in graph.layers}

    def _add(self, node: Node) -> None:
        self._nodes[node.name] = node

    def _add_island(self, node: fx.Node, group: OperatorGroup) -> None:
        self._groups[node.name] = group
        inputs = tuple(group.inputs)
        self._add(Node(name=node.name, kind="island", inputs=inputs, shape=shape_of(node)))

    def _can_travel(self, value: Any) -> bool:
        """Whether a value is a batch of images, sequences or vectors of floats."""
        if not isinstance(value, torch.Tensor) or value.dtype != torch.float32:
            return False
        batch, *sizes = value.shape if value.ndim else (1,)
        return len(sizes) in (1, 2, 3) and all(map(is_fixed, sizes)) and str(batch) == self._batch

    def _is_number(self, node: fx.Node) -> bool:
        """Whether an exported node is a parameter or constant of one value."""
        value = self._state.get(self._state_names.get(node.name, ""))
        return isinstance(value, torch.Tensor) and value.numel() == 1

    def _island(self, name: str) -> FloatIsland:
        group = self._groups[name]
        return FloatIsland(
            name=name,
            operators=group.operators,
            reason=group.reason,
            module=self._module(group),
        )

    def _lookup(self, name: str) -> CapturedLookup:
        group = self._groups[name]
        return CapturedLookup(name=name, operators=group.operators, module=self._module(group))

    def _module(self, group: OperatorGroup) -> nn.Module:
        return island_module(
            sorted(group.nodes, key=self._order.__getitem__),
            group.inputs,
            lambda node: self._same_as.get(node.name, node.name),
            {placeholder: self._state[entry] for placeholder, entry in self._state_names.items()},
        )

    def _layer_name(self, node: fx.Node) -> str:
        assert isinstance(node.args[1], fx.Node)
        name = str(self._state_names[node.args[1].name]).rpartition(".")[0] or node.name
        # A module that is called again is a layer of its own there: it reads another tensor, at
        # bits of its own, and retraining moves its weights apart.
        calls = sum(known == name or known.startswith(f"{name}#") for known in self._parameters)
        return f"{name}#{calls + 1}" if calls else name

    def _layer_specs(self, nodes: list[Node]) -> tuple[LayerSpec, ...]:
        tensors, shapes = quantized_tensors(nodes), {node.name: node.shape for node in nodes}
        specs = []
        for node in nodes:
            if not node.layer:
                continue
            weight, source = self._parameters[node.layer].weight, node.inputs[0]
            specs.append(
                LayerSpec(
                    name=node.layer,
                    kind=node.kind,  # type: ignore[arg-type]
                    out_channels=weight.shape[0],
                    input_shape=shapes[source],
                    output_shape=node.shape,
                    tensor=tensors[source],
                    reads_input=tensors[source] == nodes[0].name,
                    macs=weight.numel() * prod(node.shape[1:]),
                    parameters=weight.numel() + weight.shape[0],
                    **self._geometry[node.layer],
                )
            )
        return tuple(specs)
