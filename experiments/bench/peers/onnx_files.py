"""ONNX files of one network: float32, and int8 as ONNX Runtime's own tools quantize it."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from experiments.bench.peers.contender import import_engine

INPUT, OUTPUT = "x", "logits"
_OPSET = 17


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFiles:
    """Where the two files are."""

    float32: Path
    int8: Path
    """QDQ: unsigned 8-bit activations, signed 8-bit weights with a scale for each channel."""


def write_onnx_files(module: nn.Module, images: torch.Tensor, folder: Path) -> OnnxFiles:
    """Export a network, and quantize it statically from a few images.

    Args:
        module: In evaluation mode.
        images: float32 `[N, C, H, W]` to calibrate on; the files take one image at a time.
        folder: An existing folder for the files.

    Raises:
        BenchError: onnx or onnxruntime is not installed.
    """
    import_engine("onnx")
    files = OnnxFiles(float32=folder / "float32.onnx", int8=folder / "int8.onnx")
    with _silence():
        torch.onnx.export(
            module,
            (images[:1],),
            str(files.float32),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=_OPSET,
            # The newer exporter writes the same operators and needs one package more.
            dynamo=False,
        )
        _quantize(files, images.numpy())
    return files


def _quantize(files: OnnxFiles, images: npt.NDArray[np.float32]) -> None:
    quantization: Any = import_engine("onnxruntime.quantization")
    shapes: Any = import_engine("onnxruntime.quantization.shape_inference")
    prepared = files.int8.with_name("prepared.onnx")
    shapes.quant_pre_process(str(files.float32), str(prepared))
    quantization.quantize_static(
        str(prepared),
        str(files.int8),
        _Images(images),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
    )


class _Images:
    """Gives the images one by one, as ONNX Runtime's CalibrationDataReader does."""

    def __init__(self, images: npt.NDArray[np.float32]) -> None:
        self._rest = iter([{INPUT: images[n : n + 1]} for n in range(len(images))])

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._rest, None)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the tools' advice about themselves off the progress line."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
