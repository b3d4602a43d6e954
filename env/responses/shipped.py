"""The priors that methods have unless they are given another one."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from env.responses.prior import WIDE, ResponsePrior
from quant.records.json_form import from_plain

FILE = Path(__file__).with_name("prior.json")
"""What `python -m tools.fit_responses` wrote."""


@cache
def shipped_prior() -> ResponsePrior:
    """Return the prior that was fitted to real retrainings, or the guess where there is none."""
    return from_plain(ResponsePrior, _document()["prior"]) if FILE.exists() else WIDE


@cache
def prior_without(task: str) -> ResponsePrior:
    """Return the prior that was fitted without the networks of one task.

    No prior that is judged on a task has seen it. Of a task that no network was of, it is the
    shipped one.
    """
    if not FILE.exists():
        return WIDE
    without = _document()["without"]
    return from_plain(ResponsePrior, without[task]) if task in without else shipped_prior()


def _document() -> Any:
    return json.loads(FILE.read_text(encoding="utf-8"))
