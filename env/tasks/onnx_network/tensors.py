"""Tensors of a file as PyTorch has them: floats of every precision in float32."""

from math import prod
from typing import Any

import numpy as np
import torch

from env.tasks.onnx_network.limits import OnnxLimits

_FLOATS = frozenset({"FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"})
_WHOLE = frozenset({"INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64"})


def torch_type(onnx: Any, number: int) -> torch.dtype:
    """Return the type in which numbers of one of ONNX's types are kept.

    Raises:
        ValueError: they are neither floats, whole numbers nor booleans.
    """
    names = onnx.TensorProto.DataType
    name = names.Name(number) if number in names.values() else str(number)
    if name in _FLOATS:
        return torch.float32
    if name in _WHOLE:
        return torch.int64
    if name == "BOOL":
        return torch.bool
    raise ValueError(f"values of type {name}")


def read_tensor(onnx: Any, tensor: Any, limits: OnnxLimits) -> torch.Tensor:
    """Return a tensor of the file.

    Raises:
        ValueError: its type, its shape or its values are not taken, and why.
    """
    sizes, wanted = list(tensor.dims), torch_type(onnx, tensor.data_type)
    if min(sizes, default=0) < 0 or prod(sizes) > limits.tensor_values:
        raise ValueError(f"a shape {sizes[:8]}")
    given = max(
        len(tensor.raw_data),
        *map(len, (tensor.float_data, tensor.int32_data, tensor.int64_data)),
        *map(len, (tensor.double_data, tensor.uint64_data)),
    )
    if given < prod(sizes):
        raise ValueError(f"a shape {sizes[:8]}, of which values are missing")
    array = np.array(onnx.numpy_helper.to_array(tensor), dtype=_numpy(wanted), order="C")
    return torch.from_numpy(array.reshape(sizes))


def _numpy(kind: torch.dtype) -> Any:
    return {torch.float32: np.float32, torch.int64: np.int64, torch.bool: np.bool_}[kind]
