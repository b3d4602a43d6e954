"""OnnxNetwork: the operators of a model in their order, as one module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One operator: which module reads which values, and what it makes."""

    module: str
    """Path of the module inside the network."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last: tuple[str, ...] = ()
    """Values that nothing reads afterwards."""


class Call(nn.Module):
    """An operator without a module of PyTorch's: a function, and its constants.

    Args:
        function: Takes tensors and `settings`.
        operands: A tensor where a constant goes; None where a computed value does. Parameters are
            trained.
        settings: Everything else.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        operands: Sequence[torch.Tensor | None],
        settings: dict[str, Any],
    ) -> None:
        super().__init__()
        self.function, self.settings = function, settings
        self._slots: list[str] = []
        for tensor in operands:
            name = "" if tensor is None else f"value{len(self._slots) or ''}"
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            elif tensor is not None:
                self.register_buffer(name, tensor)
            self._slots.append(name)

    def forward(self, *computed: torch.Tensor) -> Any:
        """Return what the function makes of the computed values and the constants."""
        given = iter(computed)
        operands = [getattr(self, name) if name else next(given) for name in self._slots]
        return self.function(*operands, **self.settings)

    def extra_repr(self) -> str:
        """Return what is computed, which a checkpoint is kept by."""
        settings = "".join(f", {name}={value}" for name, value in self.settings.items())
        return f"{self.function.__name__}{settings}"


class OnnxNetwork(nn.Module):
    """A network that was read from an ONNX file.

    Args:
        modules: What holds the operators' modules, by their paths.
        steps: The operators in the order in which they are computed.
        source: What the network's input is called.
        outputs: For each output what it is called, and the value that it is.
        digest: Of the file, by which a checkpoint is told from another file's.
    """

    def __init__(
        self,
        modules: nn.Module,
        steps: Sequence[Step],
        source: str,
        outputs: dict[str, str],
        digest: str,
    ) -> None:
        super().__init__()
        for name, module in modules.named_children():
            self.add_module(name, module)
        self._steps, self._source, self._outputs = tuple(steps), source, outputs
        self._digest = digest

    def forward(self, inputs: torch.Tensor) -> Any:
        """Return the output, or each output by its name.

        Args:
            inputs: float32 `[N, ...]`, as the file's input but for the number of them.
        """
        values = {self._source: inputs}
        for step in self._steps:
            made = self.get_submodule(step.module)(*(values[name] for name in step.inputs))
            parts = made if isinstance(made, tuple | list) else (made,)
            values.update(zip(step.outputs, parts, strict=False))
            for name in step.last:
                del values[name]
        found = {name: values[value] for name, value in self._outputs.items()}
        return found if len(found) > 1 else next(iter(found.values()))

    def extra_repr(self) -> str:
        """Return the file that it was read from, and how its operators are connected."""
        return f"{self._digest}, {len(self._steps)} operators"
