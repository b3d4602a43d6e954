"""OnnxNode: one operator of a model, with its attributes as Python has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from env.errors import TaskError
from env.tasks.onnx_network.names import shown


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OnnxNode:
    """One operator."""

    kind: str
    """ONNX's name of the operator."""
    name: str
    inputs: tuple[str, ...]
    """Names of values; empty where an optional one is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    """Integers, floats, texts, tuples of these, and tensors."""
    opset: int
    """Version of the operators."""
    file: str
    """Whose it is, for messages."""

    def get(self, attribute: str, default: Any = None) -> Any:
        """Return an attribute, or what stands for one that is left out."""
        return self.attributes.get(attribute, default)

    def has(self, place: int) -> bool:
        """Whether an optional input is there."""
        return place < len(self.inputs) and self.inputs[place] != ""

    def refused(self, reason: str, hint: str = "") -> TaskError:
        """Return the error of an operator that is not taken.

        Args:
            reason: What of it, as an end of the sentence.
            hint: What helps.
        """
        name = shown(self.name or (self.outputs[0] if self.outputs else ""))
        return TaskError(
            f"{self.file}: the operator {shown(self.kind)} (node {name!r}) {reason}", hint
        )
