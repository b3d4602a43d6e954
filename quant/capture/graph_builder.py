"""GraphBuilder: collects nodes and folded parameters while an exported program is read."""

import contextlib
from dataclasses import replace
from typing import Any

import torch
from torch import fx, nn

from quant.capture.exported import argument, module_of, uncast, where
from quant.capture.float_island import FloatIsland
from quant.capture.graph import (
    CapturedConstant,
    GraphOutput,
    LayerParameters,
    NetworkGraph,
    Node,
    NodeKind,
    Window,
)
from quant.capture.graph_passes import (
    check_numbers,
    check_places,
    drop_unread,
    fold_pads,
    fuse_clips,
)
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
from quant.capture.parameters.layers import Layers
from quant.capture.parameters.state import State
from quant.capture.places.constants import placed
from quant.capture.places.layout import Layout, first_layout
from quant.capture.places.travelling import Travelling
from quant.capture.places.value import Place, Value
from quant.capture.places.values import Values, own_layout, sizes_of
from quant.capture.products.operands import operands_of
from quant.errors import CaptureError
from quant.layers import LayerKind


class GraphBuilder:
    """Receives exported nodes in order; `finish` gives the graph.

    Args:
        program: What `torch.export.export` returned.
    """

    def __init__(self, program: Any) -> None:
        self._state, self._layers = State(program), Layers()
        self._inputs = set(program.graph_signature.user_inputs)
        self._nodes: dict[str, Node] = {}
        self._values = Values(self._nodes)
        self._travelling = Travelling(self._values)
        self._constants: dict[str, torch.Tensor] = {}
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
        self._add(node, "input", (), Place(layout=first_layout(sizes_of(node))))

    def add_node(
        self, node: fx.Node, kind: NodeKind, sources: list[Any], **attributes: Any
    ) -> None:
        """Add an operator that reads and makes images, sequences or vectors, channels first."""
        inputs = tuple(self._values.image(node, source) for source in sources)
        place = Place(layout=first_layout(sizes_of(node)))
        self._exported[node.name] = node
        self._add(node, kind, inputs, place, **attributes)

    def add_pointwise(
        self, node: fx.Node, kind: NodeKind, sources: list[Any], **attributes: Any
    ) -> None:
        """Add an operator that computes each value from those at its own place.

        It does not matter where values lie, as long as all sources have them in the same places.
        """
        first = self._values.whole(node, sources[0])
        others = (self._values.at(node, source, first.place) for source in sources[1:])
        inputs = (first.node, *others)
        self._exported[node.name] = node
        self._add(node, kind, inputs, first.place, **attributes)

    def add_to_constant(self, node: fx.Node, source: Any, constant: Any) -> None:
        """Add a sum of a tensor and what is the same for every image."""
        value = self._values.whole(node, source)
        name = self._add_constant(node, constant, value.place)
        self._exported[node.name] = node
        self._add(node, "add", (value.node, name), value.place)

    def add_concat(self, node: fx.Node, sources: list[Any], dim: int) -> None:
        """Add what joins tensors along one axis; some may be the same for every image."""
        known = [self._values.get(source) for source in sources]
        layout = own_layout(node, last=any(map(self._values.has_channels_last, sources)))
        axis = layout.axis_of(dim)
        if axis is None:
            raise CaptureError(f"concatenation along axis {dim} is not supported: {where(node)}")
        inputs = []
        for source, value in zip(sources, known, strict=True):
            sizes = (
                *layout.sizes[:dim],
                int(source.meta["val"].shape[dim]),
                *layout.sizes[dim + 1 :],
            )
            own = layout.resized(sizes)
            if value is not None:
                inputs.append(self._values.brought(node, value, own))
            else:
                inputs.append(self._add_constant(node, source, Place(layout=own)))
        self._exported[node.name] = node
        self._add(node, "concat", tuple(inputs), Place(layout=layout), axis=axis)

    def add_product(self, node: fx.Node, first: Any, second: Any) -> None:
        """Add a product of two tensors of equal sizes, or with one value a channel."""
        if sizes_of(first) == sizes_of(second):
            self.add_pointwise(node, "multiply", [first, second])
            return
        layout = own_layout(node, last=any(map(self._values.has_channels_last, (first, second))))
        shape = layout.shape
        per_channel = (shape[0], *(1 for _ in shape[1:]))
        layouts = [layout.resized(sizes_of(source)) for source in (first, second)]
        shapes = [one.shape for one in layouts]
        if shape not in shapes or any(one not in (shape, per_channel) for one in shapes):
            raise CaptureError(
                "a product must be of equal shapes or with one value a channel, found "
                f"{tuple(shapes)}: {where(node)}"
            )
        inputs = tuple(
            self._values.brought(node, self._values.of(node, source), own)
            for source, own in zip((first, second), layouts, strict=True)
        )
        self._exported[node.name] = node
        self._add(node, "multiply", inputs, Place(layout=layout))

    def add_embedding(self, node: fx.Node, rows: torch.Tensor) -> None:
        """Add the rows of a table that the network's input names.

        Raises:
            CaptureError: numbers that are computed name them, or more than one for each token.
        """
        numbers = node.args[1]
        assert isinstance(numbers, fx.Node)
        source = self._values.get(uncast(numbers))
        place = Place(layout=own_layout(node, last=True))
        if source is None or source.place.moves or len(sizes_of(numbers)) != 2:
            raise CaptureError(f"an embedding of numbers that are computed: {where(node)}")
        self._exported[node.name] = node
        self._constants[node.name] = rows.clone()
        self._add(node, "embedding", (source.node,), place)

    def add_matrices(self, node: fx.Node) -> None:
        """Add the products of two computed tensors' matrices, as of an attention's heads."""
        found = operands_of(self._values, node)
        self._exported[node.name] = node
        product = self._layers.add_product(module_of(node))
        place = Place(layout=found.layout)
        self._add(node, "matmul", found.inputs, place, matrices=found.matrices, product=product)

    def scale_matrices(self, node: fx.Node, source: Any, factor: float) -> bool:
        """Fold a product with a number into the products of matrices before it.

        Returns:
            Whether there are any, which nothing else reads.
        """
        value = self._values.get(source) if isinstance(source, fx.Node) else None
        made = None if value is None else self._nodes[value.node]
        if made is None or made.kind != "matmul" or len(source.users) > 1 or factor <= 0:
            return False
        assert value is not None
        self._nodes[value.node] = replace(made, scale=made.scale * factor)
        self._values.set(node, value)
        return True

    def scale_layer(self, node: fx.Node, source: Any, constant: Any) -> None:
        """Fold a product with one value a channel into the layer before it.

        Raises:
            CaptureError: there is none, or the values of a channel differ.
        """
        value = self._values.whole(node, source)
        layer = self._nodes[value.node].layer
        factors = self._at(node, constant, value.place).flatten(2)
        if not layer or len(source.users) > 1 or bool((factors != factors[..., :1]).any()):
            raise CaptureError(f"a product with a constant that follows no layer: {where(node)}")
        self._layers.scale(layer, factors[0, :, 0])
        self._values.set(node, value)

    def add_float(self, node: fx.Node, reason: str) -> None:
        """Add an operator without an integer form of its own: a lookup, or else a float island.

        What it makes may be a mask, a tuple, or a tensor of a shape that cannot travel as codes;
        then it becomes a part of each island that needs it.
        """
        group = self._group(node, reason)
        if is_pointwise(node, self._state.is_number):
            (source,) = (read for read in node.all_input_nodes if not self._state.is_number(read))
            if self._values.get(source) is not None:
                with contextlib.suppress(CaptureError):  # in no order that could be read
                    self.add_pointwise(node, "lookup", [source])
                    self._groups[node.name] = group
                    return
        layout = self._travelling.layout(node)
        if not group.inputs or layout is None:
            self._loose[node.name] = group
            return
        self._add_island(node, group, layout)

    def add_mean(self, node: fx.Node, window: Window) -> None:
        """Add a mean over height and width that drops them: a pooling and a flatten."""
        self._add_mean(node, self._values.image(node, node.args[0]), window, last=False)

    def add_mean_of_rows(self, node: fx.Node, *, keep: bool) -> None:
        """Add a mean over all axes but the batch's and the last, which holds channels."""
        source, layout = self._values.rows(node, node.args[0])
        _, height, width = (*layout.shape, 1, 1)[:3]
        window = Window(kernel=(height, width), stride=(height, width), padding=(0, 0))
        self._add_mean(node, source, window, last=True, keep=keep)

    def add_layer(self, node: fx.Node, kind: LayerKind, geometry: dict[str, Any]) -> None:
        """Add a convolution with its parameters; `geometry` holds LayerSpec's fields."""
        self.add_node(node, kind, [node.args[0]], layer=self._new_layer(node, geometry))

    def add_linear(self, node: fx.Node, *, read: int = 0, turned: bool = False) -> None:
        """Add a Linear, which multiplies every row of its tensor's last axis.

        Args:
            node: The operator; its weight comes after what it reads.
            read: Which of its arguments is read; a bias comes before that, or after the weight.
            turned: Whether the weight is `[in, out]`.
        """
        source, layout = self._values.rows(node, node.args[read])
        geometry = {"in_channels": sizes_of(node.args[read])[-1]}
        bias = read - 1 if read else None if turned else 2
        name = self._new_layer(node, geometry, weight=read + 1, bias=bias, turned=turned)
        place = Place(layout=layout.with_channels(sizes_of(node)[-1]))
        self._exported[node.name] = node
        self._add(node, "linear", (source,), place, layer=name)

    def add_batch_norm(self, node: fx.Node) -> None:
        """Fold a batch norm into the layer before it."""
        value = self._values.of(node, node.args[0])
        layer = self._nodes[value.node].layer
        assert isinstance(node.args[0], fx.Node)
        moved = bool(value.place.moves) or value.place.layout.last
        if not layer or moved or len(node.args[0].users) > 1:
            raise CaptureError(
                f"batch norm must follow a Conv2d or Linear that nothing else reads: {where(node)}"
            )
        gamma, beta, mean, variance = (self.parameter(node, position) for position in range(1, 5))
        if mean is None or variance is None:
            raise CaptureError(
                f"{where(node)}: this batch norm has no running statistics",
                "leave track_running_stats on",
            )
        epsilon = float(argument(node, 7))
        self._layers.fold(layer, gamma, beta, mean, variance, epsilon=epsilon)
        self._values.set(node, value)

    def pass_through(self, node: fx.Node) -> None:
        """Take an operator that changes nothing in evaluation mode."""
        self._values.set(node, self._values.of(node, node.args[0]))

    def move(self, node: fx.Node) -> None:
        """Take an operator that moves values and changes none."""
        self._values.move(node)

    def is_moved(self, node: fx.Node) -> bool:
        """Whether an exported node only moves values that travel."""
        value = self._values.get(node)
        return value is not None and bool(value.place.moves)

    def flatten(self, node: fx.Node) -> None:
        """Take a flatten of images, channels first, which a Linear's columns can follow."""
        value = self._values.of(node, node.args[0])
        if value.place.moves or value.place.layout.last:
            self._values.move(node)
            return
        self.add_node(node, "flatten", [node.args[0]])

    def is_constant(self, value: Any) -> bool:
        """Whether an exported node makes a tensor of the same values for every image."""
        if not isinstance(value, fx.Node) or value.name in self._inputs:
            return False
        loose = self._loose.get(value.name)
        return value.name in self._state.values or (loose is not None and not loose.inputs)

    def set_outputs(self, node: fx.Node, structure: Any) -> None:
        """Take the program's end.

        Args:
            node: Its results.
            structure: How the user's forward pass returns them.
        """
        for name, value, shape in exported_outputs(node, structure, self._batch):
            loose = self._loose.get(value.name)
            if loose is not None and loose.inputs:
                one = value.meta["val"].ndim == 1  # one value of each image
                layout = first_layout((-1,)) if one else own_layout(value, last=False)
                self._add_island(value, loose, layout)
            source = self._values.get(value)
            if source is None:
                raise CaptureError(f"the output {name!r} is not computed from the network's input")
            returned = source.node
            if source.place.moves or not source.place.layout.is_plain:
                returned = self._values.brought(value, source, self._values.natural(source, value))
            self._returned.append(GraphOutput(name=name, node=returned, shape=shape))

    def parameter(self, node: fx.Node, position: int) -> torch.Tensor | None:
        """Return the parameter or buffer that is an argument, or None where there is none.

        Raises:
            CaptureError: the argument is a computed tensor.
        """
        value = argument(node, position)
        if value is None:
            return None
        if self._state.behind(value) is None:
            raise CaptureError(f"{where(node)}: {value} is computed, not a parameter")
        return self._computed(value)

    def finish(self) -> tuple[NetworkGraph, dict[str, LayerParameters]]:
        """Return the graph, activations fused, and its layers' folded parameters."""
        returned = {output.node for output in self._returned}
        read = {node.name: node for node in drop_unread(list(self._nodes.values()), returned)}
        for name in [name for name in self._nodes if name not in read]:
            del self._nodes[name]
        self._groups = {name: self._groups[name] for name in self._groups if name in self._nodes}
        join_lookups(self._nodes, self._groups, self._group_of, returned)
        keep_in_float(self._nodes, self._groups, self._group_of, returned)
        keep_misplaced_in_float(self._nodes, self._groups, self._exported, self._group_of, returned)
        join_islands(self._nodes, self._groups, self._group_of, returned)
        outputs = end_outputs(self._nodes, self._returned)
        fused = fuse_clips(list(self._nodes.values()))
        nodes, folded = fold_pads(drop_unread(fused, [output.node for output in outputs]))
        for layer, added in folded.items():
            self._layers.pad(layer, added)
        check_places(nodes)
        check_numbers(nodes)
        graph = NetworkGraph(
            nodes=tuple(nodes),
            returned=outputs,
            layers=self._layers.specs(nodes),
            islands=tuple(self._island(node.name) for node in nodes if node.kind == "island"),
            lookups=tuple(self._lookup(node.name) for node in nodes if node.kind == "lookup"),
            constants=tuple(
                CapturedConstant(name=node.name, value=self._constants[node.name])
                for node in nodes
                if node.kind in ("constant", "embedding")
            ),
        )
        return graph, {
            layer.name: self._layers.parameters[layer.name]
            for layer in graph.layers
            if layer.has_weights
        }

    def _add(
        self,
        node: fx.Node,
        kind: NodeKind,
        inputs: tuple[str, ...],
        place: Place,
        **attributes: Any,
    ) -> None:
        layout = place.layout
        self._nodes[node.name] = Node(
            name=node.name,
            kind=kind,
            inputs=inputs,
            shape=layout.shape,
            last=layout.last,
            **attributes,
        )
        self._values.set(node, Value(node=node.name, place=place))

    def _add_island(self, node: fx.Node, group: OperatorGroup, layout: Layout) -> None:
        self._groups[node.name] = group
        self._exported[node.name] = node
        self._add(node, "island", tuple(group.inputs), Place(layout=layout))

    def _add_mean(
        self, node: fx.Node, source: str, window: Window, *, last: bool, keep: bool = False
    ) -> None:
        read = self._nodes[source]
        origin = self._nodes[read.inputs[0]] if read.kind == "move" else read
        if origin.kind == "input":
            raise CaptureError(f"the mean of the network's input, its 8-bit codes: {where(node)}")
        pooled = Node(
            name=node.name if keep else f"{node.name}_pooled",
            kind="avg_pool",
            inputs=(source,),
            shape=(read.shape[0], 1, 1),
            window=window,
            last=last,
        )
        self._nodes[pooled.name] = pooled
        sizes = sizes_of(node)
        if keep:
            place = Place(layout=own_layout(node, last=True))
            self._values.set(node, Value(node=node.name, place=place))
        else:
            place = Place(layout=first_layout((-1, sizes[-1])))
            self._add(node, "flatten", (pooled.name,), place)

    def _add_constant(self, node: fx.Node, constant: Any, place: Place) -> str:
        name = f"{node.name}_constant{sum(one.startswith(f'{node.name}_c') for one in self._nodes)}"
        self._constants[name] = self._at(node, constant, place)
        layout = place.layout
        self._nodes[name] = Node(
            name=name, kind="constant", inputs=(), shape=layout.shape, last=layout.last
        )
        return name

    def _at(self, node: fx.Node, constant: Any, place: Place) -> torch.Tensor:
        """Return what is the same for every image as the image of a place: `[1, C, H, W]`."""
        value = self._computed(constant)
        made = None if value is None else placed(value, place)
        if made is None:
            raise CaptureError(f"a constant that differs from image to image: {where(node)}")
        return made

    def _computed(self, value: fx.Node) -> torch.Tensor | None:
        """Return what does not depend on the network's input; None where it is no float32."""
        loose = self._loose.get(value.name)
        return self._state.computed(value, [] if loose is None else loose.nodes)

    def _group(self, node: fx.Node, reason: str = "") -> OperatorGroup:
        """Return an exported operator with what it needs that does not travel."""
        group = OperatorGroup()
        for source in node.all_input_nodes:
            value = self._values.get(source)
            if source.name in self._loose and value is None:
                group.take(self._loose[source.name])
            elif value is not None and value.node not in group.inputs:
                group.inputs.append(value.node)
        group.nodes.append(node)
        group.reason = group.reason or reason
        return group

    def _group_of(self, name: str) -> OperatorGroup:
        return self._group(self._exported[name])

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
        module = self._module(group, pointwise=True)
        return CapturedLookup(name=name, operators=group.operators, module=module)

    def _module(self, group: OperatorGroup, *, pointwise: bool = False) -> nn.Module:
        nodes, state = self._state.ordered(group.nodes), self._state.values
        return island_module(nodes, group.inputs, self._values, state, pointwise=pointwise)

    def _new_layer(
        self,
        node: fx.Node,
        geometry: dict[str, Any],
        *,
        weight: int = 1,
        bias: int | None = 2,
        turned: bool = False,
    ) -> str:
        """Keep a layer's parameters and LayerSpec's fields, and return its name."""
        values = self.parameter(node, weight)
        offset = None if bias is None else self.parameter(node, bias)
        if values is None:
            raise CaptureError(f"{where(node)}: the weight is not a parameter of the network")
        parameter = self._state.behind(node.args[weight])
        assert parameter is not None
        values = values.t() if turned else values
        if values.ndim == 3:  # of a sequence, which is an image of one row
            values = values.unsqueeze(2)
        parameters = LayerParameters(
            weight=values.contiguous().clone(),
            bias=torch.zeros(values.shape[0]) if offset is None else offset.clone(),
        )
        return self._layers.add(self._state.name(parameter), node, parameters, geometry)
