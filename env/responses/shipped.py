"""The prior that methods have unless they are given another one."""

import json
from functools import cache
from pathlib import Path

from env.responses.prior import WIDE, ResponsePrior
from quant.records.json_form import from_plain

FILE = Path(__file__).with_name("prior.json")
"""What `python -m tools.fit_responses` wrote."""


@cache
def shipped_prior() -> ResponsePrior:
    """Return the prior that was fitted to real retrainings, or the guess where there is none."""
    if not FILE.exists():
        return WIDE
    return from_plain(ResponsePrior, json.loads(FILE.read_text(encoding="utf-8"))["prior"])
