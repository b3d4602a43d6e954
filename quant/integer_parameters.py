"""The integer parameters of one layer: weight codes, bias codes, and whether their sums fit."""

import numpy as np
import numpy.typing as npt
import torch

from quant.errors import ConvertError
from quant.quantizer import QuantizedLayer, weight_limit

_INT32_MAX = np.iinfo(np.int32).max
_CODE_MAX = 128
"""Largest magnitude of an int8."""


def weight_codes(
    layer: QuantizedLayer, bits: int, flattened: tuple[int, ...] | None
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]]:
    """Return a layer's weight codes, channels last, and the step of each output channel.

    Args:
        layer: Float weights and their quantizer.
        bits: Width of the weights.
        flattened: `(C, H, W)` where a Linear reads a flattened image, whose integer form is
            flattened as `(H, W, C)`.

    Returns:
        int8 `[out, kh, kw, in / groups]` or `[out, in]`, and float64 `[out]`.
    """
    steps, limit = layer.quantizer.step(bits), weight_limit(bits)
    shape = (-1, *[1] * (layer.weight.ndim - 1))
    # The same float32 division and rounding as the fake quantizer's.
    rounded = (layer.weight / steps.reshape(shape)).round_().clamp_(-limit, limit)
    codes = rounded.to(torch.int8).numpy()
    if codes.ndim == 4:
        codes = codes.transpose(0, 2, 3, 1)
    elif flattened is not None:
        codes = codes.reshape(-1, *flattened).transpose(0, 2, 3, 1).reshape(codes.shape)
    return np.ascontiguousarray(codes), steps.numpy().astype(np.float64)


def bias_codes(
    bias: torch.Tensor, unit: npt.NDArray[np.float64], layer: str
) -> npt.NDArray[np.int32]:
    """Return `rint(bias / unit)`, int32 `[out]`.

    Args:
        bias: float32 `[out]`.
        unit: What one code of the accumulator is worth, float64 `[out]`.
        layer: The layer's name, for the message.

    Raises:
        ConvertError: a code does not fit int32.
    """
    codes = np.rint(bias.numpy().astype(np.float64) / unit)
    if np.abs(codes).max(initial=0) > _INT32_MAX:
        raise ConvertError(f"the bias of {layer} does not fit int32 at this step size")
    return codes.astype(np.int32)


def check_sums(
    codes: npt.NDArray[np.int8], bias: npt.NDArray[np.int32], largest: int, layer: str
) -> None:
    """Refuse a layer whose accumulator could leave int32, whatever it reads.

    Args:
        codes: Weight codes `[out, ...]`.
        bias: int32 `[out]`.
        largest: Largest magnitude of an input code less the zero point.
        layer: The layer's name, for the message.

    Raises:
        ConvertError: the largest possible sum does not fit int32.
    """
    products, most = codes[0].size, np.abs(bias.astype(np.int64))
    # Nearly all layers are too small to come near: their codes need no reading.
    if products * _CODE_MAX * largest + most.max(initial=0) <= _INT32_MAX:
        return
    rows = np.abs(codes.reshape(codes.shape[0], -1).astype(np.int64)).sum(1)
    if (rows * largest + most).max() > _INT32_MAX:
        raise ConvertError(f"the sums of {layer} could leave int32: it is too deep for its codes")


def check_products(depth: int, left: int, right: int, name: str) -> None:
    """Refuse a product of computed matrices whose sums could leave int32.

    Args:
        depth: Products of one sum.
        left: Largest code of the left matrices.
        right: Largest magnitude of a code of the right ones, less the zero point.
        name: Of its node, for the message.

    Raises:
        ConvertError: the largest possible sum does not fit int32.
    """
    if depth * left * right > _INT32_MAX:
        raise ConvertError(f"the sums of {name} could leave int32: {depth} products are too many")
