"""A user's module as `torch.export` has it, or one sentence on why it cannot be."""

import contextlib
import copy
import inspect
import io
import logging
import re
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from quant.capture.exported import argument, operator_name, where
from quant.errors import CaptureError

_NOT_THE_USERS = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
"""How the files of frames begin that say nothing to the user."""
_DROPOUTS = frozenset({"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"})
_RECURRENT = frozenset({"gru", "lstm", "rnn_relu", "rnn_tanh"})


def export_module(module: nn.Module, example: torch.Tensor) -> Any:
    """Return a module in evaluation mode as an exported program whose batch is not fixed.

    Args:
        module: The float network; it is copied.
        example: One input, float32 `[N, C, H, W]`, `[N, C, L]` or `[N, F]`.

    Raises:
        CaptureError: it cannot be exported, or does not compute the same each time.
    """
    if example.ndim not in (2, 3, 4):
        raise CaptureError(
            "expected an example input [N, C, H, W], [N, C, L] or [N, F], found "
            f"{list(example.shape)}"
        )
    _check_inputs(module)
    plain = copy.deepcopy(module).eval()
    pair = example[:1].repeat(2, *[1] * (example.ndim - 1))  # export specialises a batch of 1
    try:
        with torch.no_grad(), _quiet():
            program = torch.export.export(
                plain, (pair,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
            )
            if any(map(_writes_into_a_view, program.graph.nodes)):
                program = program.run_decompositions({})
    except Exception as error:
        raise _explained(error, type(module).__name__) from error
    for node in program.graph.nodes:
        if node.op == "call_function":
            _refuse_chance(node)
    return program


def _check_inputs(module: nn.Module) -> None:
    parameters = inspect.signature(module.forward).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    if len(needed) > 1:
        raise CaptureError(
            f"expected a network with one input, found {type(module).__name__}.forward"
            f"({', '.join(needed)})",
            "concatenate the inputs along the channels and split them in the forward pass",
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep PyTorch from printing graphs and warnings about modules of its own."""
    torch_log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        disabled, torch_log.disabled = torch_log.disabled, True
        try:
            yield
        finally:
            torch_log.disabled = disabled


def _explained(error: Exception, network: str) -> CaptureError:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_USERS)]
    place = f': File "{own[-1].filename}", line {own[-1].lineno}, in {own[-1].name}' if own else ""
    if isinstance(error, GuardOnDataDependentSymNode):
        return CaptureError(
            f"{network} cannot be captured, as its forward pass decides by values that it computed "
            f"(an if, a while, an assert, a size){place}",
            "decide by shapes and settings alone; of early exits, keep one",
        )
    if "Constraints violated (batch)" in str(error):
        return CaptureError(
            f"{network} cannot be captured: its forward pass fixes the size of the batch, or makes "
            "a tensor of that size alone",
            "write x.shape[0] for len(x), and return what is computed of x",
        )
    if unknown := re.search(r"Found <class '([^']+)'> in output", str(error)):
        return CaptureError(
            f"expected {network} to return tensors, in tuples, dictionaries or named tuples, found "
            f"{unknown[1].rpartition('.')[2]}",
            "return its tensors in one of those",
        )
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
    return CaptureError(
        f"{network} cannot be captured by torch.export: {first.rstrip('.')}{place}",
        "the forward pass must compute with PyTorch's operators alone, on one tensor",
    )


def _writes_into_a_view(node: fx.Node) -> bool:
    """Whether an operator changes a tensor that others know by another name (`y[:, 0] = 0`)."""
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.is_mutable or not isinstance(node.args[0], fx.Node):
        return False
    changed = node.args[0]
    return _is_view(changed) or any(map(_is_view, changed.users))


def _is_view(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    if schema is None or schema.is_mutable:
        return False
    return any(returned.alias_info is not None for returned in schema.returns)


def _refuse_chance(node: fx.Node) -> None:
    """Refuse what makes the answer to an image depend on chance, or on the batch it is in."""
    name = operator_name(node)
    if name == "batch_norm" and argument(node, 5, False):
        raise CaptureError(
            "a batch norm without running statistics takes them from the batch, so that an image's "
            f"answer depends on those beside it: {where(node)}",
            "leave track_running_stats on, or use GroupNorm or InstanceNorm",
        )
    if torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
        return
    if name in _DROPOUTS:
        chance = argument(node, 1, 0.5) > 0 and argument(node, 2, True)
    elif name == "scaled_dot_product_attention":
        chance = argument(node, 4, 0.0) > 0
    elif name == "rrelu":
        chance = argument(node, 3, False)
    else:
        chance = name not in _RECURRENT
    if chance:
        raise CaptureError(
            f"the operator {name} draws random numbers in evaluation mode too, so that no two "
            f"answers are equal: {where(node)}",
            "pass training=self.training to dropouts, and draw only where self.training is set",
        )
