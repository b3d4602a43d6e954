"""JSON forms: values as documents that JSON can write, and documents as dataclasses again."""

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

import numpy as np
import pydantic
from pydantic_core import core_schema

from quant.errors import BitAllocError

T = TypeVar("T")

_LENIENT = pydantic.ConfigDict(strict=True, ser_json_inf_nan="constants")
EXACT = pydantic.ConfigDict(**_LENIENT, extra="forbid")
"""`__pydantic_config__` of a dataclass whose form has no keys but its fields."""

Plain = Callable[[Any], dict[str, Any]]
"""What pydantic hands to a `model_serializer`: writes the fields, without what it adds to them."""


def to_plain(value: Any) -> Any:
    """Return a value as mappings, lists, texts and numbers; a dataclass by its fields.

    NaN and infinities stay what they are, and what JSON does not know becomes its text.
    """
    if is_dataclass(value):
        return _adapter(cast(Any, type(value))).dump_python(
            (value,), mode="json", by_alias=True, warnings=False, fallback=to_plain
        )[0]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | int | float) else str(value)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value, or what has a form, as JSON, which has no NaN: null stands in its place."""
    plain = to_plain(value)
    try:
        return json.dumps(plain, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(plain), indent=indent, allow_nan=False)


def _finite(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {name: _finite(value) for name, value in plain.items()}
    if isinstance(plain, list):
        return [_finite(value) for value in plain]
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def from_plain(
    kind: type[T],
    document: Any,
    *,
    lacking: Collection[str] | None = None,
) -> T:
    """Return what `to_plain` wrote; keys that are no fields are passed over (but see `EXACT`).

    A text is never a number, nor is a truth value.

    Args:
        kind: A dataclass, or a collection of one.
        document: What JSON read.
        lacking: Fields that older versions did not write. Where they are named, every other one
            must be there; else each one that has a default may be missing.

    Raises:
        ValueError: the document is of another form; names the first place.
        BitAllocError: the dataclass refuses its values.
    """
    if lacking is not None and isinstance(document, Mapping):
        for field in fields(kind):  # type: ignore[arg-type]
            has_default = field.default is not MISSING or field.default_factory is not MISSING
            if has_default and field.name not in (*document, *lacking):
                raise ValueError(f"{field.name}: Field required")
    try:
        # As text, because in its strict mode JSON's list is a tuple but a text is never a number.
        found: T = _adapter(cast(Any, kind)).validate_json(json.dumps([document]))[0]
    except RecursionError:
        raise ValueError("expected fewer containers in each other") from None
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, BitAllocError):
            raise cause from None
        place = ".".join(map(str, first["loc"][1:]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from None
    return found


def own_form(kind: Any, _: Any) -> core_schema.CoreSchema:
    """Tell pydantic that a class has its form from its own `to_dict` and `from_dict`.

    As `__get_pydantic_core_schema__` of the class, or beside it in the annotation of a field.
    """
    return core_schema.no_info_plain_validator_function(
        kind.from_dict,
        serialization=core_schema.plain_serializer_function_ser_schema(kind.to_dict),
    )


def formerly(name: str, before: str) -> Any:
    """Say in a field's annotation that older versions wrote it under another name."""
    return pydantic.Field(validation_alias=pydantic.AliasChoices(name, before))


@cache
def _adapter(kind: Any) -> pydantic.TypeAdapter[Any]:
    # A tuple around it, because only a container takes a config for the dataclasses inside.
    return pydantic.TypeAdapter(tuple[kind], config=_LENIENT)
