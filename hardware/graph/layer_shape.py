"""LayerShape: what a quantized layer of a converted network computes, apart from its bits."""

from dataclasses import dataclass
from math import prod
from typing import Literal

from quant.deploy_graph import Conv2d, DeployGraph, Linear, MatMul


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerShape:
    """Geometry of one layer; shapes leave the batch out, as in `DeployTensor`."""

    kind: Literal["convolution", "depthwise", "dense", "product"]
    input_shape: tuple[int, ...]
    """`(H, W, C)` or `(F,)`; of a product of two tensors, its left matrices
    `(groups, rows, depth)`."""
    output_shape: tuple[int, ...]
    """Of a product, `(groups, rows, columns)`."""
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    groups: int = 1
    macs: int
    """Multiply-accumulates of one execution, the whole batch."""

    @property
    def is_3x3(self) -> bool:
        """Whether this is an ordinary 3x3 convolution."""
        return self.kind == "convolution" and self.groups == 1 and self.kernel == (3, 3)

    def __str__(self) -> str:
        """Return the short form of tables, for example `3x3/2 56x56x64 > 128`."""
        size = "x".join(str(side) for side in self.input_shape)
        if self.kind == "product":
            return f"product {size} > {self.output_shape[-1]}"
        if self.kind == "dense":
            return f"dense {size} > {self.output_shape[-1]}"
        words = ["x".join(str(side) for side in self.kernel)]
        if self.stride != (1, 1):
            same = self.stride[0] == self.stride[1]
            words[0] += f"/{self.stride[0]}" if same else f"/{self.stride[0]}x{self.stride[1]}"
        if self.kind == "depthwise":
            return f"depthwise {words[0]} {size}"
        if self.groups > 1:
            words.append(f"in {self.groups} groups")
        return " ".join([*words, f"{size} > {self.output_shape[-1]}"])


def layer_shape(graph: DeployGraph, op: Conv2d | Linear | MatMul, batch: int) -> LayerShape:
    """Return the shape of one layer of a graph.

    Args:
        graph: Gives the shapes of the layer's tensors.
        op: A layer or a product of `graph`.
        batch: Images in one execution.
    """
    if isinstance(op, MatMul):
        return LayerShape(
            kind="product",
            input_shape=op.matrices.left,
            output_shape=op.matrices.made,
            macs=batch * op.matrices.macs,
        )
    source, output = graph.tensors[op.input].shape, graph.tensors[op.output].shape
    macs = batch * prod(output[:-1]) * int(op.weight.size)
    if isinstance(op, Linear):
        return LayerShape(kind="dense", input_shape=source, output_shape=output, macs=macs)
    depthwise = 1 < op.groups == source[-1]
    return LayerShape(
        kind="depthwise" if depthwise else "convolution",
        input_shape=source,
        output_shape=output,
        kernel=(op.weight.shape[1], op.weight.shape[2]),
        stride=op.stride,
        groups=op.groups,
        macs=macs,
    )
