"""QuantizedNetwork: the captured network with learned quantizers, ready to train at any bits."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from quant.allocation import Allocation, LayerBits
from quant.calibration import sample_values, sample_windows, wide_scale
from quant.capture.capture import capture
from quant.capture.float_operators import (
    as_images,
    channels_first,
    channels_last,
    layer_value,
    plain_value,
)
from quant.capture.graph import (
    TRANSPARENT,
    WIDE_READERS,
    LayerParameters,
    NetworkGraph,
    Node,
)
from quant.capture.lookup import LOOKUP_BITS
from quant.deploy_graph import WIDE_MAX, WIDE_MIN
from quant.errors import AllocationError, CaptureError
from quant.layers import FLOAT_BITS, INPUT_BITS, LayerSpec
from quant.outputs import Outputs, several
from quant.quantizer import (
    WIDTHS,
    ActivationQuantizer,
    OnHost,
    QuantizedLayer,
    fake_quantize,
    is_stale,
    keep_positive,
    mark_trained,
)
from quant.tensors.arithmetic import FLOAT32
from quant.tensors.moving import fetch, like, number

_ATTRIBUTES = frozenset(dir(nn.ModuleDict()))
"""Names that no entry of a module dictionary can have, for example `values` and `to`."""
Tap = Callable[[str, torch.Tensor], torch.Tensor]
"""Given a name and a value on its way, returns what goes on in its place."""


def prepare(module: nn.Module, example: torch.Tensor) -> "QuantizedNetwork":
    """Capture a float module and give it quantizers; call `calibrate` before quantizing.

    Args:
        module: The trained float network; it is not changed.
        example: One input, float32 `[N, C, H, W]` or `[N, F]`.

    Raises:
        CaptureError: the module has operators with no integer form.
    """
    graph, parameters = capture(module, example)
    return QuantizedNetwork(graph, parameters)


class QuantizedNetwork(OnHost):
    """Runs in float (no allocation) or fake-quantized exactly as docs/integers.md says.

    Layers and tensors are found by the names of `graph`. Parameters of module dictionaries cannot
    hold dots, so keys write `/` for `.`.
    """

    on_host = ("trained_steps", "calibrated")
    trained_steps: torch.Tensor
    stream_scales: torch.Tensor
    calibrated: torch.Tensor

    def __init__(self, graph: NetworkGraph, parameters: Mapping[str, LayerParameters]) -> None:
        super().__init__()
        self.graph = graph
        self.allocation: Allocation | None = None
        self.arithmetic = FLOAT32
        """Of training steps."""
        self._computes_in = FLOAT32
        self._bits: dict[str, LayerBits] = {}
        self._tensor_bits: dict[str, int] = {}
        self._calibration: torch.Tensor | None = None
        self.layer_modules = nn.ModuleDict(
            {_key(name): QuantizedLayer(values) for name, values in parameters.items()}
        )
        # Their values stay as they were captured, so that each is compiled once for all candidates.
        self.island_modules = nn.ModuleDict(
            {_key(island.name): island.module.requires_grad_(False) for island in graph.islands}
        )
        self.lookup_modules = nn.ModuleDict(
            {_key(lookup.name): lookup.module.requires_grad_(False) for lookup in graph.lookups}
        )
        self.clip_modules = nn.ModuleDict(
            {
                _key(node.name): _ClipMaxima(node.shape[0], node.clip.maximum)
                for node in graph.nodes
                if node.clip is not None and node.clip.maximum is not None
            }
        )
        self.constant_modules = nn.ModuleDict(
            {_key(constant.name): _Constant(constant.value) for constant in graph.constants}
        )
        self._undecided = tuple(
            graph.tensor_of[graph.by_name[lookup.name].inputs[0]] for lookup in graph.lookups
        )
        tensors = dict.fromkeys(
            [
                graph.tensor_of[graph.input],
                *(tensor for layer in graph.layers for tensor in layer.tensors),
                *self._undecided,
            ]
        )
        self._tensors = tuple(tensors)
        self.tensor_modules = nn.ModuleDict({_key(name): ActivationQuantizer() for name in tensors})
        self._streams = sorted(set(graph.stream_of.values()))
        self.register_buffer("stream_scales", torch.zeros(len(self._streams)))
        self.register_buffer("trained_steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("calibrated", torch.zeros((), dtype=torch.bool))

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """What has bits of its own, in execution order: layers, and products of tensors."""
        return self.graph.layers

    @property
    def weight_layers(self) -> tuple[LayerSpec, ...]:
        """The layers among them, which have weights."""
        return tuple(layer for layer in self.layers if layer.has_weights)

    def layer(self, name: str) -> QuantizedLayer:
        """Return one layer's parameters and weight quantizer."""
        module = self.layer_modules[_key(name)]
        assert isinstance(module, QuantizedLayer)
        return module

    def parameter_prefix(self, layer: str) -> str:
        """Return what the names of one layer's parameters begin with, as `named_parameters` has."""
        return f"layer_modules.{_key(layer)}"

    def island(self, name: str) -> nn.Module:
        """Return the module of one float island."""
        return self.island_modules[_key(name)]

    def lookup(self, name: str) -> nn.Module:
        """Return the module of one lookup."""
        return self.lookup_modules[_key(name)]

    def constant(self, name: str) -> torch.Tensor:
        """Return what is the same for every image, float32 `[1, C, H, W]` or `[1, F]`.

        Of an embedding, its rows `[vocabulary, F]`.
        """
        module = self.constant_modules[_key(name)]
        assert isinstance(module, _Constant)
        return module.value

    def tensor(self, name: str) -> ActivationQuantizer:
        """Return the quantizer of one tensor."""
        module = self.tensor_modules[_key(name)]
        assert isinstance(module, ActivationQuantizer)
        return module

    def clip_maxima(self, node: str) -> torch.Tensor:
        """Return where each channel of a node's ReLU6 ends in float, float32 `[C]`.

        Equalization stretches them; codes end at the clip's own maximum, the least of them.
        """
        module = self.clip_modules[_key(node)]
        assert isinstance(module, _ClipMaxima)
        return module.maxima

    def stream_scale(self, node: str) -> float:
        """Return the scale of the wide codes that a node's value travels as."""
        return number(self._stream_scale(node))

    def bits(self, layer: str) -> LayerBits:
        """Return the bits of one layer under the current allocation."""
        return self._bits[layer]

    def tensor_bits(self, tensor: str) -> int:
        """Return the bits of one tensor under the current allocation."""
        return self._tensor_bits[tensor]

    def tensor_step(self, tensor: str) -> float:
        """Return the step of one tensor under the current allocation."""
        return number(self.tensor(tensor).step(self._tensor_bits[tensor]))

    def step_parameters(self) -> list[nn.Parameter]:
        """Return the learned steps, which take no weight decay."""
        return [value for name, value in self.named_parameters() if name.endswith("steps")]

    def weight_parameters(self) -> list[nn.Parameter]:
        """Return weights and biases."""
        return [value for name, value in self.named_parameters() if not name.endswith("steps")]

    @torch.no_grad()
    def calibrate(self, images: torch.Tensor) -> None:
        """Set stream scales and every width's steps from data.

        Args:
            images: float32 `[N, C, H, W]`, a few hundred training images, wherever they are: the
                network takes its inputs to where its values are. Kept for widths that
                are initialised again later.

        Raises:
            CaptureError: an operator makes values of them that are no numbers.
        """
        self.keep_calibration_images(images)
        self.calibrated.fill_(True)
        values = self._float_values(images)
        for node in self.graph.nodes:
            if not fetch(values[node.name].isfinite().all()):
                raise CaptureError(
                    f"expected finite numbers everywhere in the network, found NaN or infinity in "
                    f"what {node.layer or node.name} makes of the calibration images"
                )
        for position, stream in enumerate(self._streams):
            members = [n for n, s in self.graph.stream_of.items() if s == stream]
            self.stream_scales[position] = wide_scale([values[name] for name in members])
        for layer in self.weight_layers:
            self._initialise_weights(layer, WIDTHS, values)
        for tensor in self._tensors:
            self._initialise_tensor(tensor, WIDTHS, values)

    def keep_calibration_images(self, images: torch.Tensor) -> None:
        """Keep images for widths that are initialised again later, without calibrating.

        A state dict holds scales and steps but no images: call this after loading one.
        """
        self._calibration = images.detach().clone()

    def set_allocation(self, allocation: Allocation | None) -> None:
        """Choose the bits, or float with None. Widths long untrained are initialised again.

        Raises:
            AllocationError: the allocation does not fit, the network is not calibrated, or a
                tensor's width must be initialised again and no calibration images are kept.
        """
        if allocation is not None:
            allocation.check(self.layers)
            if not self.calibrated:
                raise AllocationError("calibrate the network before choosing its bits")
        self.allocation = allocation
        self._bits = dict(allocation.items) if allocation else {}
        self._tensor_bits = {}
        if allocation is None:
            return
        self._tensor_bits = dict.fromkeys(self._undecided, LOOKUP_BITS)
        for layer in self.layers:
            read = zip(layer.tensors, self._bits[layer.name].of_tensors, strict=True)
            self._tensor_bits |= dict(read)
        # And where nothing but an island reads it.
        self._tensor_bits[self.graph.tensor_of[self.graph.input]] = INPUT_BITS
        self._refresh_stale()

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Compute as `arithmetic` says meanwhile, which nothing but a training step does."""
        before, self._computes_in = self._computes_in, self.arithmetic
        try:
            yield
        finally:
            self._computes_in = before

    def note_training_step(self) -> None:
        """Count one optimizer step at the current bits, and keep the steps positive."""
        self.trained_steps += 1
        now = int(self.trained_steps)
        for layer in self.weight_layers if self._bits else ():
            bits = self._bits[layer.name]
            if bits.weight_bits == FLOAT_BITS:
                continue
            keep_positive(self.layer(layer.name).quantizer)
            mark_trained(self.layer(layer.name).quantizer, bits.weight_bits, now)
        for name, width in self._tensor_bits.items():
            keep_positive(self.tensor(name))
            mark_trained(self.tensor(name), width, now)

    def forward(self, x: torch.Tensor) -> Outputs:
        """Return what the user's network returns: a tensor, or several as in `graph.outputs`."""
        values = self._float_values(x) if self.allocation is None else self.quantized_values(x)
        return self._outputs(values)

    def float_outputs(
        self, x: torch.Tensor, *, read: Tap | None = None, computed: Tap | None = None
    ) -> Outputs:
        """Return what `forward` does in float, whatever the allocation; taps see what layers do.

        Args:
            x: float32 `[N, C, H, W]`.
            read: Given (node, its value) for each layer or product that reads it.
            computed: Given (layer or product, its output before the activation).
        """
        return self._outputs(self._float_values(x, read, computed))

    def quantized_values(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return each node's fake-quantized value: wide where it travels wide, else narrow.

        Narrow versions of wide tensors are under the name `node/narrow`.
        """
        values: dict[str, torch.Tensor] = {}
        for node in self.graph.nodes:
            values[node.name] = self.quantized_value(node, values, x)
        return values

    def quantized_value(
        self, node: Node, values: dict[str, torch.Tensor], x: torch.Tensor
    ) -> torch.Tensor:
        """Return one node's value as it travels, from the values of what it reads.

        Args:
            node: A node of the graph.
            values: Named as by `quantized_values`; narrow versions that are missing are added.
            x: The network's input, read by the input node only.
        """
        return self.quantized_as(node, self._node_value(node, values, x))

    def quantized_as(self, node: Node, value: torch.Tensor) -> torch.Tensor:
        """Return what a node hands on of the value that it computed: activated and fake-quantized.

        Args:
            node: A node of the graph.
            value: Of any shape; a tensor's step is the same everywhere.
        """
        if node.name in self.graph.output_nodes or node.kind in TRANSPARENT:
            return value  # outputs are not quantized, codes are only moved
        if node.clip is not None and node.clip.maximum is not None:
            value = value.clamp(max=node.clip.maximum)
        clipped = node.clip is not None  # at zero, by the clip of codes
        if node.name in self.graph.wide:
            low = 0 if clipped else WIDE_MIN
            return fake_quantize(value, self._stream_scale(node.name), low, WIDE_MAX)
        return self._to_narrow(node.name, value, nonnegative=clipped)

    def float_value(
        self,
        node: Node,
        values: Mapping[str, torch.Tensor],
        x: torch.Tensor,
        *,
        read: Tap | None = None,
        computed: Tap | None = None,
    ) -> torch.Tensor:
        """Return one node's value in float, from the values of what it reads.

        Args:
            node: A node of the graph.
            values: Float values by node.
            x: The network's input, read by the input node only.
            read: As in `float_outputs`.
            computed: As in `float_outputs`.
        """
        if node.kind == "input":
            value = self._input_value(x)
        elif node.kind == "constant":
            value = self._constant_value(node, x)
        elif node.kind == "embedding":
            value = self._embedding_value(node, x)
        elif node.kind == "island":
            value = self._island_value(node, values)
        elif node.kind == "lookup":
            value = self._lookup_value(node, values[node.inputs[0]])
        elif node.layer or node.product:
            value = self._float_layer(node, values, read, computed)
        else:
            value = plain_value(node, [values[name] for name in node.inputs])
        if node.clip is None or node.clip.maximum is None:
            return value if node.clip is None else value.clamp(0.0)
        maxima = self.clip_maxima(node.name).reshape(-1, *[1] * (value.ndim - 2))
        return value.clamp(torch.zeros_like(maxima), maxima)

    def _float_layer(
        self,
        node: Node,
        values: Mapping[str, torch.Tensor],
        read: Tap | None,
        computed: Tap | None,
    ) -> torch.Tensor:
        """Return what a layer or a product computes in float, before its activation."""
        sources = {name: values[name] for name in node.inputs}
        if read:
            sources = {name: read(name, value) for name, value in sources.items()}
        inputs = [sources[name] for name in node.inputs]
        if node.product:
            value = plain_value(node, inputs)
        else:
            module = self.layer(node.layer)
            spec = self.graph.layer(node.layer)
            value = self._layer_value(spec, inputs[0], module.weight, module.bias)
        return computed(node.layer or node.product, value) if computed else value

    def layer_input(self, node: Node, values: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return what a layer's node reads: narrow, named and added as by `quantized_value`."""
        return self._narrow(node.inputs[0], values)

    def accumulator_unit(self, layer: str) -> torch.Tensor:
        """Return what one code of a layer's sums is worth, float32 `[out]`, without a gradient."""
        bits, module = self.bits(layer), self.layer(layer)
        input_step = self.tensor(self.graph.layer(layer).tensor).step(bits.activation_bits).detach()
        return input_step * module.quantizer.step(bits.weight_bits).detach()

    def layer_output(self, node: Node, x: torch.Tensor) -> torch.Tensor:
        """Return what a layer makes of its narrow input at its bits, before the activation."""
        spec, module = self.graph.layer(node.layer), self.layer(node.layer)
        bits = self.bits(node.layer)
        if bits.weight_bits == FLOAT_BITS:  # and never trained, so that it is compiled once
            return layer_value(spec, x, module.weight.detach(), module.bias.detach())
        weight = module.quantizer(module.weight, bits.weight_bits)
        unit = self.accumulator_unit(node.layer)
        # Straight-through: the integer bias is a multiple of the accumulator's unit.
        bias = module.bias + ((module.bias / unit).round() * unit - module.bias).detach()
        return self._layer_value(spec, x, weight, bias)

    def _layer_value(
        self, spec: LayerSpec, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        x = self._computes_in.lay(x)
        if self._computes_in.precision == "float32":
            return layer_value(spec, x, weight, bias)
        sums = layer_value(spec, x.bfloat16(), weight.bfloat16(), None).float()
        return sums + bias.reshape(-1, *[1] * (sums.ndim - 2))

    def _outputs(self, values: Mapping[str, torch.Tensor]) -> Outputs:
        shaped = (
            self._as_user_has(output.node, value).reshape(len(value), *output.shape)
            for output in self.graph.returned
            for value in (values[output.node],)
        )
        return several(shaped, self.graph.outputs)

    def _node_value(
        self, node: Node, values: dict[str, torch.Tensor], x: torch.Tensor
    ) -> torch.Tensor:
        if node.kind == "input":
            return self._input_value(x)
        if node.kind == "constant":
            return self._constant_value(node, x)
        if node.kind == "embedding":
            return self._embedding_value(node, x)
        if node.layer:
            return self.layer_output(node, self.layer_input(node, values))
        if node.kind == "island":
            return self._island_value(node, values)
        if node.kind == "lookup":
            return self._lookup_value(node, self._narrow(node.inputs[0], values))
        wide = node.kind in WIDE_READERS or (node.kind != "matmul" and node.name in self.graph.wide)
        inputs = [values[name] if wide else self._narrow(name, values) for name in node.inputs]
        return plain_value(node, inputs)

    def _input_value(self, x: torch.Tensor) -> torch.Tensor:
        return as_images(like(x, self.stream_scales))

    def _island_value(self, node: Node, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        sources = (self._as_user_has(name, values[name]) for name in node.inputs)
        result: torch.Tensor = self.island(node.name)(*sources)
        return channels_first(result) if node.last else result

    def _as_user_has(self, name: str, value: torch.Tensor) -> torch.Tensor:
        return channels_last(value) if self.graph.by_name[name].last else value

    def _constant_value(self, node: Node, x: torch.Tensor) -> torch.Tensor:
        return self.constant(node.name).expand(len(x), *node.shape)

    def _embedding_value(self, node: Node, x: torch.Tensor) -> torch.Tensor:
        rows = functional.embedding(x.long(), self.constant(node.name))
        return channels_first(rows.unsqueeze(1))

    def _lookup_value(self, node: Node, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.lookup(node.name)(x)
        return result

    def _narrow(self, name: str, values: dict[str, torch.Tensor]) -> torch.Tensor:
        if name not in self.graph.wide:
            return values[name]
        key = f"{name}/narrow"
        if key not in values:
            values[key] = self._to_narrow(name, values[name])
        return values[key]

    def _stream_scale(self, node: str) -> torch.Tensor:
        return self.stream_scales[self._streams.index(self.graph.stream_of[node])]

    def _to_narrow(
        self, name: str, value: torch.Tensor, *, nonnegative: bool = False
    ) -> torch.Tensor:
        tensor = self.graph.tensor_of[name]
        quantizer, bits = self.tensor(tensor), self._tensor_bits[tensor]
        # The input is 8-bit for every allocation: what one of them learns would harm the others.
        learn = tensor != self.graph.tensor_of[self.graph.input]
        return quantizer(value, bits, nonnegative=nonnegative, learn=learn)  # type: ignore[no-any-return]

    def _float_values(
        self, x: torch.Tensor, read: Tap | None = None, computed: Tap | None = None
    ) -> dict[str, torch.Tensor]:
        values: dict[str, torch.Tensor] = {}
        for node in self.graph.nodes:
            values[node.name] = self.float_value(node, values, x, read=read, computed=computed)
        return values

    def _sample(self, tensor: str, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return a sample of one quantized tensor: of every node that belongs to it."""
        members = [name for name, owner in self.graph.tensor_of.items() if owner == tensor]
        return fetch(sample_values([values[name] for name in members]))

    def _initialise_weights(
        self, layer: LayerSpec, widths: Iterable[int], values: Mapping[str, torch.Tensor]
    ) -> None:
        """Set steps of one layer's weights, from what a sample of its outputs are sums of."""
        module, now = self.layer(layer.name), int(self.trained_steps)
        (node,) = (node for node in self.graph.nodes if node.layer == layer.name)
        windows = sample_windows(layer, values[node.inputs[0]])
        for bits in widths:
            module.quantizer.initialise(module.weight, bits, windows)
            mark_trained(module.quantizer, bits, now)

    def _initialise_tensor(
        self, tensor: str, widths: Iterable[int], values: Mapping[str, torch.Tensor]
    ) -> None:
        """Set steps of one quantized tensor."""
        quantizer, now = self.tensor(tensor), int(self.trained_steps)
        sample = self._sample(tensor, values)
        for bits in widths:
            quantizer.initialise(sample, bits)
            mark_trained(quantizer, bits, now)

    @torch.no_grad()
    def _refresh_stale(self) -> None:
        now = int(self.trained_steps)
        layers = [
            layer
            for layer in self.weight_layers
            if (bits := self._bits[layer.name].weight_bits) != FLOAT_BITS
            and is_stale(self.layer(layer.name).quantizer, bits, now)
        ]
        stale = [n for n, b in self._tensor_bits.items() if is_stale(self.tensor(n), b, now)]
        names = [*stale, *(layer.name for layer in layers)]
        if not names:
            return
        if self._calibration is None:
            raise AllocationError(
                f"{names[0]} must be initialised again from data, and no images are kept",
                "call keep_calibration_images after loading a state dict",
            )
        values = self._float_values(self._calibration)
        for layer in layers:
            self._initialise_weights(layer, [self._bits[layer.name].weight_bits], values)
        for name in stale:
            self._initialise_tensor(name, [self._tensor_bits[name]], values)

    def copy_state(self) -> dict[str, torch.Tensor]:
        """Return weights, steps and scales as they are now, for `load_state_dict` to go back to."""
        return {name: value.clone() for name, value in self.state_dict().items()}

    def clone(self) -> "QuantizedNetwork":
        """Return an independent copy, calibration images shared."""
        calibration, self._calibration = self._calibration, None
        try:
            twin = copy.deepcopy(self)
        finally:
            self._calibration = calibration
        twin._calibration = calibration
        return twin


class _Constant(nn.Module):
    """What is the same for every image, float32 `[1, ...]`."""

    value: torch.Tensor

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value.clone())


class _ClipMaxima(nn.Module):
    """Where each channel of one ReLU6 ends, float32 `[C]`."""

    maxima: torch.Tensor

    def __init__(self, channels: int, maximum: float) -> None:
        super().__init__()
        self.register_buffer("maxima", torch.full((channels,), maximum))
        self.register_load_state_dict_pre_hook(_keep_missing)  # type: ignore[no-untyped-call]


def _keep_missing(clip: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take states as they were written before there was equalization: nothing is stretched."""
    state.setdefault(f"{prefix}maxima", clip.maxima)


def _key(name: str) -> str:
    key = name.replace(".", "/")
    return f"{key}/" if key in _ATTRIBUTES else key
