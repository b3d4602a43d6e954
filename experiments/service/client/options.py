"""Options that the client's commands share."""

from dataclasses import dataclass
from typing import Annotated

import tyro

JobName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="JOB")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientOptions:
    """Which server is asked."""

    server: Annotated[str, tyro.conf.arg(metavar="URL")] = ""
    """The service; $BITALLOC_SERVER or the one used last by default."""
