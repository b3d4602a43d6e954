"""How large an ONNX file may be, and what it may make of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxLimits:
    """What a file that anybody may have sent is held to."""

    file_bytes: int = 1 << 29
    """Of the model and of each file of weights beside it, and of all of them together."""
    nodes: int = 20_000
    """Operators; ResNet-152 has 500, a large transformer 5,000."""
    fields: int = 500_000
    """Entries of the file: an empty one takes 2 bytes on the disk, and a hundred in memory."""
    depth: int = 12
    """Messages in messages; a model without subgraphs has 8."""
    tensor_values: int = 1 << 28
    """Of one tensor of an input, or of all constants that are computed together."""


DEFAULT_LIMITS = OnnxLimits()
