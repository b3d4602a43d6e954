"""Codes in an ONNX model: how a float value is rounded to them, and how they become one again."""

from typing import Any

import numpy as np
import numpy.typing as npt

from quant.deploy_graph import DeployGraph


class CodesWriter:
    """Collects the nodes and constants of a model; a value is named after its tensor."""

    def __init__(self, graph: DeployGraph, onnx: Any) -> None:
        """Begin a model of a converted network, with the package onnx."""
        self.graph, self.onnx = graph, onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def quantize(self, source: str, name: str, scale: float, zero_point: int, stored: str) -> None:
        """Round a float value to codes, and make the real value of them."""
        codes = self.codes(source, name, scale, zero_point, stored)
        self.node("DequantizeLinear", codes, name)

    def by_arithmetic(self, name: str, output: str) -> None:
        """Make the real values of a tensor of the graph without a DequantizeLinear.

        ONNX Runtime takes what stands between a DequantizeLinear and a QuantizeLinear for something
        to quantize: at its defaults it rounds the float weights of an island's convolution to 8
        bits there, and gives weights of 2 bits to an operator that refuses them (1.31.1).
        Source: onnxruntime/core/optimizer/qdq_transformer.
        """
        tensor, copy = self.graph.tensors[name], f"{output}/read"
        codes = self.codes_again(name, copy)
        self.node("Cast", [codes], f"{copy}/float", to=self.onnx.TensorProto.FLOAT)
        zero_point = self.scalar(f"{copy}/offset", tensor.zero_point)
        self.node("Sub", [f"{copy}/float", zero_point], f"{copy}/steps")
        self.node("Mul", [f"{copy}/steps", self.scalar(f"{copy}/unit", tensor.scale)], output)

    def codes_again(self, name: str, copy: str) -> str:
        """Return the codes of a tensor of the graph, whose values have been through their rounding.

        Args:
            name: The tensor.
            copy: What the names of the copy begin with.
        """
        tensor = self.graph.tensors[name]
        stored = "INT16" if tensor.dtype == "int16" else "UINT8"
        return self.codes(name, copy, tensor.scale, tensor.zero_point, stored)[0]

    def codes(
        self, source: str, name: str, scale: float, zero_point: int, stored: str
    ) -> list[str]:
        """Round a float value to codes; return their name and those of scale and zero point."""
        code = np.array(zero_point, np.uint8 if stored == "UINT8" else np.int16)
        parameters = [
            self.scalar(f"{name}/scale", scale),
            self.constant(f"{name}/zero_point", code),
        ]
        self.node("QuantizeLinear", [source, *parameters], f"{name}/codes")
        return [f"{name}/codes", *parameters]

    def integers(self, name: str, codes: npt.NDArray[Any], scale: npt.NDArray[np.float64]) -> str:
        """Return the real values of integer constants with one scale for each output channel."""
        parameters = [
            self.constant(f"{name}/codes", codes),
            self.constant(f"{name}/scale", scale.astype(np.float32)),
        ]
        self.node("DequantizeLinear", parameters, name, axis=0)
        return name

    def scalar(self, name: str, value: float) -> str:
        """Write a float32 constant without axes and return its name."""
        return self.constant(name, np.array(value, np.float32))

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """Write a constant and return its name."""
        self.constants.append(self.onnx.numpy_helper.from_array(value, name))
        return name

    def node(
        self, kind: str, inputs: list[str], output: str | list[str], **attributes: Any
    ) -> None:
        """Write an operator, which is called as its first output."""
        outputs = [output] if isinstance(output, str) else output
        node = self.onnx.helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes)
        self.nodes.append(node)
