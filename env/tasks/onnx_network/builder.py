"""Builder: puts the network together while the model's operators are read in their order."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from env.tasks.onnx_network.limits import OnnxLimits
from env.tasks.onnx_network.names import free_name, layer_name
from env.tasks.onnx_network.network import Call, OnnxNetwork, Step
from env.tasks.onnx_network.node import OnnxNode
from env.tasks.onnx_network.value import BATCHES, Probes, Size, Value, size_of

_FUNCTIONS = (
    *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.ELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Softsign, nn.Dropout),
)
"""Modules that keep every shape, which PyTorch takes milliseconds to find out."""
_NO_INPUT = "computes with the size of the batch as with a number"


class Builder:
    """Receives operators in order; `finish` gives the network.

    Args:
        values: The network's input and what the file keeps, by their names.
        source: Name of the input.
        batch: Size of the batch that the file fixes; None where it is free.
        readers: How many operators and outputs read each value of the file.
        limits: On what may be computed here.
    """

    def __init__(
        self,
        values: Mapping[str, Value],
        source: str,
        batch: int | None,
        readers: Counter[str],
        limits: OnnxLimits,
    ) -> None:
        self._values = dict(values)
        self.source, self.batch = source, batch
        self._readers, self._limits = readers, limits
        self._root = nn.Module()
        self._modules: dict[str, nn.Module] = {}
        self._called: Counter[str] = Counter()
        self._steps: list[Step] = []
        self._made: dict[str, Step] = {}
        self._folded = 0
        self._parameters: dict[str, nn.Parameter] = {}

    def value(self, node: OnnxNode, place: int) -> Value:
        """Return an input of a node.

        Raises:
            TaskError: it is left out.
        """
        if not node.has(place):
            raise node.refused(f"has no input {place}")
        return self._values[node.inputs[place]]

    def inputs(self, node: OnnxNode) -> list[Value]:
        """Return all inputs of a node."""
        return [self.value(node, place) for place in range(len(node.inputs))]

    def fixed(self, node: OnnxNode, place: int) -> torch.Tensor | None:
        """Return the numbers of an input that must be known, None where it is left out.

        Raises:
            TaskError: they are not.
        """
        if not node.has(place):
            return None
        value = self.value(node, place)
        if not value.fixed:
            raise node.refused(
                f"takes its input {place} from what the network computes, where a constant is "
                "expected",
                "simplify the model (onnxsim), or export it with sizes that are fixed",
            )
        return value.probes[0]

    def numbers(self, node: OnnxNode, place: int, attribute: str = "") -> list[int] | None:
        """Return whole numbers of an attribute, or else of an input; None where both are left out.

        Raises:
            TaskError: they are not known.
        """
        if attribute and node.get(attribute) is not None:
            given = node.get(attribute)
            return list(given) if isinstance(given, tuple) else [given]
        found = self.fixed(node, place)
        return None if found is None else [int(number) for number in found.reshape(-1)]

    def shape(self, node: OnnxNode, place: int) -> list[Size]:
        """Return an input that is a list of sizes, which may depend on the batch.

        Raises:
            TaskError: they are not known.
        """
        value = self.value(node, place)
        if value.computed:
            self.fixed(node, place)
        rows = zip(*(probe.reshape(-1).tolist() for probe in value.probes), strict=True)
        return [size_of(tuple(map(int, row))) for row in rows]

    def forward_name(self, node: OnnxNode, value: Value) -> None:
        """Let a node's output be another value: it changes nothing."""
        output = node.outputs[0]
        alone = value.alone and self._readers[output] == 1
        self._values[output] = Value(
            reference=value.reference,
            probes=value.probes,
            computed=value.computed,
            learned=value.learned,
            origin=value.origin,
            alone=alone,
        )

    def constant(self, node: OnnxNode, tensor: torch.Tensor) -> None:
        """Let a node's output be known numbers."""
        self._values[node.outputs[0]] = self._known(node, (tensor,) * 3)

    def known(self, node: OnnxNode, probes: Probes) -> None:
        """Let a node's output be numbers that are known for each size of the batch."""
        first, second, third = probes
        self._count(node, probes)
        same = torch.equal(first, second) and torch.equal(first, third)
        self._values[node.outputs[0]] = self._known(node, (probes[0],) * 3 if same else probes)

    def module(self, node: OnnxNode, module: nn.Module, value: Value, name: str = "") -> str:
        """Let a node's first outputs be what a module makes of a value; return the module's path.

        Args:
            node: The operator.
            module: Takes one tensor.
            value: What it reads.
            name: What it is called; by default after its node.
        """
        return self._apply(node, module.eval(), [value], name)

    def call(
        self,
        node: OnnxNode,
        function: Callable[..., Any],
        values: Sequence[Value],
        **settings: Any,
    ) -> None:
        """Let a node's outputs be what a function makes of values, which may be constants."""
        if not any(value.computed for value in values):
            self._fold(node, Call(function, [None] * len(values), settings), values)
            return
        operands = [None if value.computed else self._operand(node, value) for value in values]
        computed = [value for value in values if value.computed]
        self._apply(node, Call(function, operands, settings).eval(), computed)

    def between(self, node: OnnxNode, module: nn.Module, value: Value) -> Value:
        """Return what a module makes of a value, for an operator that takes two modules."""
        inner = f"{node.outputs[0]}\0{len(self._steps)}"
        name = f"{layer_name('', node.name, node.kind)}_{type(module).__name__.lower()}"
        self._register(node, module.eval(), [value], name, (inner,))
        return self._values.pop(inner)

    def module_behind(self, value: Value) -> nn.Module | None:
        """Return the module that made a value which one operator alone reads; None for others.

        It may be changed: no other step uses it.
        """
        step = self._made.get(value.reference)
        return self._modules[step.module] if value.alone and step is not None else None

    def before(self, value: Value, function: Callable[..., Any]) -> Value | None:
        """Return what a function made a value of; None where something else made it."""
        step = self._made.get(value.reference)
        module = None if step is None else self._modules[step.module]
        if step is None or not isinstance(module, Call) or module.function is not function:
            return None
        return self._values.get(step.inputs[0])

    def parameter(self, value: Value, tensor: torch.Tensor | None = None) -> nn.Parameter:
        """Return a tensor of the file as a parameter, the same one for all who read it.

        Args:
            value: The tensor.
            tensor: What became of its numbers, where that is something else.
        """
        if tensor is not None:
            return nn.Parameter(tensor.contiguous().clone())
        key = value.reference
        if key not in self._parameters:
            self._parameters[key] = nn.Parameter(value.probes[0].clone())
        return self._parameters[key]

    def finish(self, outputs: Mapping[str, str], digest: str) -> OnnxNetwork:
        """Return the network.

        Args:
            outputs: For each output what it is called, and the file's name of its value.
            digest: Of the file.
        """
        returned = {name: self._values[value].reference for name, value in outputs.items()}
        left = set(returned.values())
        steps: list[Step] = []
        for step in reversed(self._steps):
            if not left.intersection(step.outputs):
                self._remove(step.module)
                continue
            last = {*step.inputs, *step.outputs} - left
            left.update(step.inputs)
            steps.append(
                Step(
                    module=step.module,
                    inputs=step.inputs,
                    outputs=step.outputs,
                    last=tuple(sorted(last)),
                )
            )
        return OnnxNetwork(self._root, steps[::-1], self.source, returned, digest)

    @property
    def input(self) -> Value:
        """The network's input."""
        return self._values[self.source]

    def result(self, name: str) -> Value | None:
        """Return a value by its name in the file; None where nothing makes it."""
        return self._values.get(name)

    def read_by(self, name: str) -> int:
        """Return how many operators and outputs read a value of the file."""
        return self._readers[name]

    def _operand(self, node: OnnxNode, value: Value) -> torch.Tensor:
        if not value.fixed:
            raise node.refused(_NO_INPUT, "export it with sizes that are fixed")
        tensor = value.probes[0]
        trained = value.learned and tensor.is_floating_point() and tensor.numel() > 1
        # What is taken away or divided by is the mean and deviation of the pixels.
        if trained and node.kind not in ("Sub", "Div"):
            return self.parameter(value)
        return tensor

    def _apply(
        self, node: OnnxNode, module: nn.Module, values: Sequence[Value], name: str = ""
    ) -> str:
        if not any(value.computed for value in values):
            self._fold(node, module, values)
            return ""
        return self._register(node, module, values, name, node.outputs)

    def _register(
        self,
        node: OnnxNode,
        module: nn.Module,
        values: Sequence[Value],
        name: str,
        outputs: Sequence[str],
    ) -> str:
        keeps = isinstance(module, _FUNCTIONS)
        made = [
            (values[0].probes[place],)
            if keeps
            else _parts(_without_numbers(module, [value.probes[place] for value in values]))
            for place in range(len(BATCHES))
        ]
        for parts in made:
            self._check(node, parts, BATCHES[-1])
        for place, output in enumerate(outputs[: len(made[0])]):
            if output:
                first, second, third = (parts[place] for parts in made)
                self._values[output] = Value(
                    reference=output,
                    probes=(first, second, third),
                    computed=True,
                    alone=self._readers[output] == 1,
                )
        wanted = name or layer_name("", node.name, node.kind)
        path = free_name(wanted, self._called, self._root)
        self._put(path, module)
        kept = tuple(output or f"{path}/{place}" for place, output in enumerate(outputs))
        inputs = tuple(value.reference for value in values)
        step = Step(module=path, inputs=inputs, outputs=kept[: len(made[0])])
        self._steps.append(step)
        self._made.update(dict.fromkeys(step.outputs, step))
        return path

    def _fold(self, node: OnnxNode, module: nn.Module, values: Sequence[Value]) -> None:
        """Compute an operator of known numbers now."""
        same = all(value.fixed for value in values)
        made: list[tuple[torch.Tensor, ...]] = []
        for place in range(1 if same else len(BATCHES)):
            given = [value.probes[place] for value in values]
            planned = _parts(_without_numbers(module, [tensor.to("meta") for tensor in given]))
            self._check(node, planned, 1)
            self._count(node, (*planned, *given))
            with torch.no_grad():
                made.append(_parts(module(*given)))
        only = values[0] if len(values) == 1 else None
        for place, output in enumerate(node.outputs[: len(made[0])]):
            probes = tuple(parts[place] for parts in made) * (3 if same else 1)
            self._values[output] = self._known(node, probes, only)  # type: ignore[arg-type]

    def _count(self, node: OnnxNode, tensors: Sequence[torch.Tensor]) -> None:
        """Refuse constants that are, with all before, more than a file may make of itself."""
        self._folded += sum(tensor.numel() for tensor in tensors)
        if self._folded > self._limits.tensor_values:
            raise node.refused("makes constants larger than the network may be")

    def _known(self, node: OnnxNode, probes: Probes, origin: Value | None = None) -> Value:
        return Value(
            reference=node.outputs[0],
            probes=probes,
            computed=False,
            learned=origin is not None and origin.learned,
            origin="" if origin is None else origin.origin,
        )

    def _check(self, node: OnnxNode, tensors: Sequence[torch.Tensor], batch: int) -> None:
        largest = max((tensor.numel() for tensor in tensors), default=0)
        if largest > self._limits.tensor_values * batch:
            raise node.refused(
                f"makes {largest // batch:,} values of one input, and at most "
                f"{self._limits.tensor_values:,} are taken"
            )

    def _put(self, path: str, module: nn.Module) -> None:
        *way, last = path.split(".")
        place = self._root
        for part in way:
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = getattr(place, part)
        place.add_module(last, module)
        self._modules[path] = module

    def _remove(self, path: str) -> None:
        """Take out a module that nothing needs, and what held it alone."""
        *way, last = path.split(".")
        delattr(self._root.get_submodule(".".join(way)), last)
        while way and not any(self._root.get_submodule(".".join(way)).children()):
            *way, last = way
            delattr(self._root.get_submodule(".".join(way)), last)


def _without_numbers(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Any:
    """Return what a module makes of tensors on the meta device, and nothing is computed."""
    state = {name: value.to("meta") for name, value in module.named_parameters()}
    state |= {name: value.to("meta") for name, value in module.named_buffers()}
    with torch.no_grad():
        return functional_call(module, state, tuple(inputs))


def _parts(made: Any) -> tuple[torch.Tensor, ...]:
    parts = tuple(made) if isinstance(made, tuple | list) else (made,)
    if not all(isinstance(part, torch.Tensor) for part in parts):
        raise TypeError("expected tensors")
    return parts
