"""How near ONNX Runtime, as it comes, brings a written ONNX model to the integer reference."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from experiments.export.onnx_outputs import inner_name
from quant.deploy_graph import DeployGraph
from quant.torch_integer import integer_outputs

IMAGES = 32
"""Enough to tell a mistake, which costs tens of dB, from single codes that fall over an edge."""
_EQUAL_DB = 200.0
"""Nearer than float32 can be; said of what is equal to the bit."""


def onnx_agreement(file: Path, graph: DeployGraph, images: torch.Tensor) -> str:
    """Return, in one sentence, what ONNX Runtime makes of a model at its default settings.

    Its optimizer replaces operators there, which a check with the optimizer off cannot see.

    Args:
        file: The model.
        graph: The converted network that it was written of.
        images: Prepared inputs, `[N, *input_shape]` or `[N, C, L]`.
    """
    try:
        import onnxruntime
    except ImportError:
        return (
            "`model.onnx` was not compared with the integer reference: the package onnxruntime is "
            "not installed here (pip install onnxruntime, and export again)"
        )
    onnxruntime.set_default_logger_severity(3)  # what it optimizes away is no news
    version = f"ONNX Runtime {onnxruntime.__version__} at its default settings"
    try:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        entry = inner_name(graph.input, graph.outputs)
        shape = graph.tensors[graph.input].shape
        found = session.run(list(graph.outputs), {entry: images.reshape(-1, *shape).numpy()})
    except Exception as error:  # its own types, made by pybind11, have no common base but this
        reason = str(error).strip().partition("\n")[0]
        return f"{version} cannot run `model.onnx`: {reason}"
    ratio_db = agreement_db(graph, images, found)
    near = "equal to the bit" if ratio_db == _EQUAL_DB else f"{ratio_db:.1f} dB"
    return (
        f"{version} computes what the integer reference does on {len(images)} test inputs: {near}"
    )


def agreement_db(graph: DeployGraph, images: torch.Tensor, found: list[npt.NDArray[Any]]) -> float:
    """Return the signal-to-noise ratio of the worst output, in dB; 200 where all are equal.

    Args:
        graph: The converted network.
        images: Prepared inputs, `[N, *input_shape]` or `[N, C, L]`.
        found: Its outputs, by another program, in the order of `graph.outputs`.
    """
    expected = integer_outputs(graph, images)
    return min(
        _ratio_db(wanted.numpy().astype(np.float64), values)
        for wanted, values in zip(expected, found, strict=True)
    )


def _ratio_db(wanted: npt.NDArray[np.float64], found: npt.NDArray[Any]) -> float:
    noise, signal = float(((wanted - found) ** 2).sum()), float((wanted**2).sum())
    if noise == 0.0:
        return _EQUAL_DB
    return min(_EQUAL_DB, float(10 * np.log10(signal / noise))) if signal else -_EQUAL_DB
