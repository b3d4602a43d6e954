"""What a configuration of an earlier version meant, in the keys of this one."""

from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN_RETRAINING: Mapping[str, Any] = {
    "optimizer": "sgd",
    "warm_up_steps": 0,
    "clip_norm": 0.0,
    "averaging": 0.0,
    "teacher_weight": 0.0,
    "views": 0,
    "compensation_images": 0,
    "scale_images": 0,
    "held_back_images": 0,
}
"""Schema 1 retrained by plain descent on labels, at the rates that it names, and kept the end."""
_AS_CAPTURED: Mapping[str, Any] = {"equalize": False}
"""Schemas 1 and 2 quantized the channels that a network has, as wide as they are."""
_ACCURACY_ALONE: Mapping[str, Any] = {"speed_worth": 0.0}
"""Schemas 1 to 3 let no speed decide between equal accuracies, but the order of ties."""
_OWN_POLICY: Mapping[str, Any] = {"policy": "run", "posterior": False, "race": 0}
"""Schemas 1 to 4 had a policy that the run trained, and answered the best score."""
_RETRAINED = (("env", "finetune"), ("final",), ("amed", "finetune"), ("qbitopt", "finetune"))


def as_meant_then(document: dict[str, Any], schema: int) -> dict[str, Any]:
    """Return a configuration with what its schema took for granted written out.

    Args:
        document: As its file has it, not changed; a run's names every key that there was then.
        schema: Of the file.
    """
    if schema < 5:
        document = _with_defaults(document, ("ppo",), _OWN_POLICY)
    if schema < 4:
        document = _with_defaults(document, ("env", "reward"), _ACCURACY_ALONE)
    if schema < 3:
        document = _with_defaults(document, ("env",), _AS_CAPTURED)
    if schema < 2:
        for path in _RETRAINED:
            document = _with_defaults(document, path, _PLAIN_RETRAINING)
    return document


def _with_defaults(section: Any, path: Sequence[str], defaults: Mapping[str, Any]) -> Any:
    """Return the tree with the defaults in the section that `path` names, where that is there."""
    if not isinstance(section, dict):
        return section  # the reader says what is wrong with it
    if not path:
        return {**defaults, **section}
    name, *rest = path
    if name not in section:
        return section
    return {**section, name: _with_defaults(section[name], rest, defaults)}
