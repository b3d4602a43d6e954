"""JSON of files that may be anything: numbers are numbers, and whatever is wrong is a ValueError.

Python's own reader takes `NaN`, makes infinity of `1e400`, numbers of hundreds of digits and texts
that no file can hold (halves of UTF-16 pairs), and ends in RecursionError where brackets stand in
each other too often.
"""

import json
import math
import re
from typing import Any, NoReturn

_DIGITS = 19
"""Of 64 bits."""
_HALVES = re.compile("[\ud800-\udfff]")
_SUSPECT = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""What stands in a file for such a half, and for others that are none."""


class NoNumberError(ValueError):
    """Raised for NaN and infinities, which JSON does not have."""


def parse_json(content: bytes | str, *, with_nan: bool = False) -> Any:
    """Return the document that a file holds.

    Args:
        content: Of the file.
        with_nan: Whether NaN and infinities are read: whoever asks refuses them where they count.

    Raises:
        NoNumberError: it has a number that is none.
        ValueError: it is no JSON, or has what no document of ours has.
    """
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    try:
        found = json.loads(
            data,
            parse_constant=float if with_nan else _refuse_constant,
            parse_float=float if with_nan else _float,
            parse_int=_integer,
        )
        half = _SUSPECT.search(data) and _HALVES.search(json.dumps(found, ensure_ascii=False))
    except RecursionError:
        raise ValueError("expected fewer brackets in each other") from None
    if half:
        raise ValueError("expected text, found half a character")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise NoNumberError(name)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NoNumberError(text[:_DIGITS])
    return value


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _DIGITS:
        raise ValueError(f"expected a number of at most {_DIGITS} digits, found {len(text)}")
    return int(text)
