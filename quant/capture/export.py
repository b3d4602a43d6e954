"""A user's module as `torch.export` has it, or one sentence on why it cannot be."""

import contextlib
import copy
import inspect
import io
import logging
import re
import traceback
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from quant.capture.exported import argument, operator_name, uncast, where
from quant.capture.rewriting.einsum import multiply_einsums
from quant.capture.rewriting.filled import fill_by_size
from quant.errors import CaptureError

_NOT_THE_USERS = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
"""How the files of frames begin that say nothing to the user."""
TOKENS_HINT = (
    "numbers of tokens come as whole float32 numbers [N, T]: begin the forward pass with x.long(), "
    "and let an embedding look them up as they are"
)
_DROPOUTS = frozenset({"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"})
_RECURRENT = frozenset({"gru", "lstm", "rnn_relu", "rnn_tanh"})


def own_copy(module: nn.Module) -> nn.Module:
    """Return a copy of a network, also where a forward pass left computed tensors behind in it."""
    left = {
        id(value): value.detach()
        for part in module.modules()
        for value in tree_leaves(vars(part))
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    return copy.deepcopy(module, left)


def export_module(module: nn.Module, example: torch.Tensor) -> Any:
    """Return a module as an exported program whose batch is not fixed.

    Args:
        module: The float network, in evaluation mode.
        example: One input, float32 `[N, C, H, W]`, `[N, C, L]` or `[N, F]`.

    Raises:
        CaptureError: it cannot be exported, or does not compute the same each time.
    """
    if example.ndim not in (2, 3, 4):
        raise CaptureError(
            "expected an example input [N, C, H, W], [N, C, L] or [N, F], found "
            f"{list(example.shape)}"
        )
    check_inputs(module)
    pair = example[:1].repeat(2, *[1] * (example.ndim - 1))  # export specialises a batch of 1
    try:
        with torch.no_grad(), _quiet(), _in_float32():
            program = torch.export.export(module, (pair,), dynamic_shapes=_batch_first(module))
            if any(map(_writes_into_a_view, program.graph.nodes)):
                program = program.run_decompositions({})
            fill_by_size(program)
            multiply_einsums(program)
    except Exception as error:
        raise _explained(error, type(module).__name__) from error
    for node in program.graph.nodes:
        if node.op == "call_function":
            _refuse_chance(node)
            _refuse_tokens(node, program.graph_signature.user_inputs)
    return program


def check_inputs(module: nn.Module) -> None:
    """Refuse a network that needs more than one input.

    Raises:
        CaptureError: it does.
    """
    parameters = inspect.signature(module.forward).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind < p.VAR_POSITIONAL]
    if len(needed) > 1:
        raise CaptureError(
            f"expected a network with one input, found {type(module).__name__}.forward"
            f"({', '.join(needed)})",
            "concatenate the inputs along the channels and split them in the forward pass",
        )


def _batch_first(module: nn.Module) -> Any:
    """Return which size of the input is not fixed, in the form of the forward pass's arguments."""
    sizes = {0: torch.export.Dim("batch", min=1)}
    first = next(iter(inspect.signature(module.forward).parameters.values()))
    return ((sizes,),) if first.kind == first.VAR_POSITIONAL else (sizes,)


@contextlib.contextmanager
def _in_float32() -> Iterator[None]:
    """Take autocast for what it is on a board, nothing: else its operators are hidden in one."""
    autocast = torch.autocast
    kept = autocast.__enter__, autocast.__exit__
    autocast.__enter__ = lambda self: self  # type: ignore[method-assign]
    autocast.__exit__ = lambda self, *error: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        autocast.__enter__, autocast.__exit__ = kept  # type: ignore[method-assign]


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
    # It brings sympy, 36 MB that an export has in memory by now, and a server has not.
    from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

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


def _refuse_tokens(node: fx.Node, inputs: Collection[str]) -> None:
    """Refuse a table that is read at places that are computed from the network's input."""
    if operator_name(node) != "embedding" or not _is_made_of(node.args[1], inputs):
        return
    numbers = uncast(node.args[1])  # type: ignore[arg-type]
    if numbers.name in inputs and numbers.meta["val"].ndim == 2:
        return
    raise CaptureError(
        "expected an embedding that looks up the network's input [N, T] as it is, found numbers "
        f"that are computed from it: {where(node)}",
        TOKENS_HINT,
    )


def _is_made_of(value: Any, inputs: Collection[str]) -> bool:
    """Whether a tensor is computed from the network's input, and not from its sizes alone."""
    if not isinstance(value, fx.Node) or not isinstance(value.meta.get("val"), torch.Tensor):
        return False
    return value.name in inputs or any(_is_made_of(read, inputs) for read in value.all_input_nodes)
