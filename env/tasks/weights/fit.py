"""Weights of a file, and how they come into a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from env.tasks.weights.file import read_document
from env.tasks.weights.names import NameMatch, match_names
from env.tasks.weights.state import State, find_state
from quant.errors import DataError

_LISTED = 3
"""Names that a message has at most."""
_FLOAT_HINT = "give the weights as they were before they were quantized"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Weights:
    """What a file of weights holds."""

    file: Path
    state: State
    """Tensors under the file's own names; under the network's, once they are fitted."""
    notes: tuple[str, ...] = ()
    """What its user should know of how it was read, in sentences."""


def read_weights(file: Path) -> Weights:
    """Read a file's state dict, without running anything in the file.

    Args:
        file: What safetensors or `torch.save` wrote; the state dict may lie beside other things.

    Raises:
        DataError: the file is missing, damaged, something else, or holds no one state dict.
    """
    state, key = find_state(read_document(file), file)
    return Weights(
        file=file, state=state, notes=(f"weights: {key!r} of {file.name}",) if key else ()
    )


def fit_weights(weights: Weights, module: nn.Module) -> Weights:
    """Return the weights under a network's names, in its types.

    Args:
        weights: As the file has them.
        module: The network, which stays as it is.

    Raises:
        DataError: an entry is missing, is of another shape, or holds no finite numbers, or the
            file has layers that the network has not.
    """
    own = module.state_dict()
    match = match_names(_shapes(own), _shapes(weights.state))
    _check_names(match, weights.file)
    state = {
        name: _fitted(weights, source, name, own[name]) for name, source in match.source.items()
    }
    return Weights(file=weights.file, state=state, notes=(*weights.notes, *_notes(match)))


def load_weights(module: nn.Module, file: Path) -> None:
    """Load a file's state dict into a network, in place.

    Raises:
        DataError: the file is no state dict that fits the network.
    """
    module.load_state_dict(fit_weights(read_weights(file), module).state, strict=False)


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def _check_names(match: NameMatch, file: Path) -> None:
    if len(match.ways) > 1:
        raise DataError(
            f"{file} fits the network in several ways: {', '.join(match.ways)}",
            "save the weights of one of them",
        )
    if match.missing or match.unknown:
        found = (
            f"has no {match.missing[0]!r}"
            if match.missing
            else f"has {match.unknown[0]!r}, which it has not"
        )
        raise DataError(
            f"{file} does not fit the network: it {found} "
            f"({len(match.missing)} missing, {len(match.unknown)} unknown)",
            "choose the network with --task.network or --task.model, or rename the entries",
        )


def _fitted(weights: Weights, source: str, name: str, own: torch.Tensor) -> torch.Tensor:
    """Return one entry in the network's type."""
    value, file = weights.state[source], weights.file
    if value.shape != own.shape:
        head = value.shape[1:] == own.shape[1:]
        raise DataError(
            f"{file}: expected {name} of shape {list(own.shape)}, found {list(value.shape)}",
            f"give weights that were trained for {own.shape[0]} classes"
            if head
            else "the network has as many channels as the data",
        )
    if value.is_quantized or value.is_complex() or value.is_meta:
        kind = "no values" if value.is_meta else f"values of {value.dtype}"
        raise DataError(f"{file}: expected float values in {source}, found {kind}", _FLOAT_HINT)
    if own.is_floating_point():
        if not value.is_floating_point():
            raise DataError(
                f"{file}: expected float values in {source}, found {value.dtype}", _FLOAT_HINT
            )
        value = value.to_dense().to(own.dtype)
        wrong = int((~torch.isfinite(value)).sum())
        if wrong:
            raise DataError(
                f"{file}: expected finite weights, found {wrong} of {value.numel()} in {source} "
                "NaN or infinite",
                "take a checkpoint from before the training broke down",
            )
    return value


def _notes(match: NameMatch) -> list[str]:
    notes = []
    prefixes = {
        other.removesuffix(name)
        for name, other in match.source.items()
        if name != other and other.endswith(name)
    }
    words = [
        f"{other} as {name}" for name, other in match.source.items() if not other.endswith(name)
    ]
    if prefixes:
        notes.append(f"weights: names taken without {_listed(sorted(prefixes))}")
    if words:
        notes.append(f"weights: taken {_listed(words)}")
    if match.unused:
        notes.append(
            f"weights: left out {_listed(match.unused)}, for which the network has no layer"
        )
    return notes


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
