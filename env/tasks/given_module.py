"""The user's own network as it is given: unwrapped, in float32, and tried before it is trained."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.optim.swa_utils import AveragedModel
from torch.utils._pytree import tree_leaves

from env.errors import TaskError
from env.tasks.onnx_network.load import load_onnx_network
from env.tasks.own_function import call_function
from env.tasks.task_config import ONNX
from quant.capture.export import TOKENS_HINT, check_inputs
from quant.outputs import main_tensor

_KEY = "task.model"
_WRAPPERS = (nn.DataParallel, DistributedDataParallel, AveragedModel)
_LOOSE = 1e-4
"""Relative difference between two outputs that rounding can make."""


def make_given_module(name: str, example: torch.Tensor, *, loss: str = "") -> nn.Module:
    """Return the network that `task.model` names, without wrappers, in float32 on the CPU.

    Args:
        name: `package.module:function`, or an ONNX file.
        example: Inputs, which give lazy layers their shapes, and files the sizes that they leave
            free.
        loss: What the network is trained by: the softmax or sigmoid that it computes itself is not
            trained through where a file ends in one.

    Raises:
        TaskError: no such function, it raises, or what it returns cannot be worked with; or the
            file cannot.
    """
    if name.endswith(ONNX):
        module: nn.Module = load_onnx_network(Path(name), example, loss=loss)
        _check_finite(module, name)
        return module
    given = call_function(name, _KEY)
    if isinstance(given, torch.jit.ScriptModule):
        raise TaskError(
            f"{_KEY}: {name} returns a TorchScript program, whose layers cannot be changed",
            "return the network that it was made from",
        )
    if not isinstance(given, nn.Module):
        raise TaskError(
            f"{_KEY}: expected {name} to return a torch.nn.Module, found {type(given).__name__}"
        )
    module = _unwrapped(given)
    values = [*module.named_parameters(), *module.named_buffers()]
    if any(value.is_meta for _, value in values):
        raise TaskError(
            f"{_KEY}: {name} returns a network without values, on the meta device",
            "make it on the CPU",
        )
    module = module.cpu().float()
    if any(is_lazy(value) for _, value in values):
        try_module(module, example, name)
    _check_finite(module, name)
    return module


def try_module(module: nn.Module, inputs: torch.Tensor, name: str) -> torch.Tensor:
    """Return what a network makes of two inputs, in evaluation mode: its main output.

    Raises:
        CaptureError: that is no tensor, or the network needs several inputs.
        TaskError: it fails on them, or makes something else of them each time.
    """
    module.eval()
    check_inputs(module)
    pair = inputs[[0, -1]]
    shape = f"[N, {', '.join(map(str, inputs.shape[1:]))}]"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            output, again = module(pair), module(pair)
    except Exception as error:  # a user's network may fail in any way
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TaskError(
            f"the network {name} cannot take inputs {shape}: {reason}",
            TOKENS_HINT
            if "'indices'" in reason
            else "give inputs [N, C, H, W], [N, C, L] or [N, F] as the network reads them",
        ) from error
    if not _alike(output, again):
        raise TaskError(
            f"the network {name} makes something else of the same inputs each time, in evaluation "
            "mode too",
            "functional.dropout needs training=self.training; noise belongs into training alone",
        )
    return main_tensor(output)


def outputs_of(output: torch.Tensor | None, name: str) -> int | None:
    """Return how many classes a network's main output has room for, None where there is none.

    Raises:
        TaskError: it is not `[N, classes]`.
    """
    if output is None:
        return None
    if output.ndim != 2:
        sizes = ", ".join(map(str, output.shape[1:]))
        raise TaskError(
            f"expected the network {name} to return [N, classes] for labels [N], found "
            f"[N{', ' if sizes else ''}{sizes}]",
            "end it in a pooling, a Flatten and a Linear layer",
        )
    return int(output.shape[1])


def without_parametrizations(module: nn.Module) -> nn.Module:
    """Return a network whose weight norms, spectral norms and pruned weights are plain weights."""
    module.eval()
    for part in list(module.modules()):
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(part, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(part, hook.name)
            elif isinstance(hook, prune.BasePruningMethod):
                prune.remove(part, hook._tensor_name)
        if parametrize.is_parametrized(part):
            for name in list(part.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(part, name)
    return module


def _check_finite(module: nn.Module, name: str) -> None:
    for key, value in module.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise TaskError(f"{_KEY}: {name} returns a network with NaN or infinity in {key}")


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return a network without what runs it elsewhere, faster or averaged, inside it too."""
    from torch._dynamo import OptimizedModule  # 36 MB and more, which a server does not need

    while isinstance(module, (OptimizedModule, *_WRAPPERS)):
        module = module._orig_mod if isinstance(module, OptimizedModule) else module.module
    module._compiled_call_impl = None
    for name, child in list(module.named_children()):
        plain = _unwrapped(child)
        if plain is not child:
            setattr(module, name, plain)
    return module


def _alike(one: Any, other: Any) -> bool:
    """Whether the tensors of two outputs agree."""
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(
        torch.allclose(a, b, rtol=_LOOSE, atol=_LOOSE, equal_nan=True)
        for a, b in pairs
        if isinstance(a, torch.Tensor) and a.ndim and a.is_floating_point()
    )
