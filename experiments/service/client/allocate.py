"""bitalloc allocate: the best bits for a budget at once, by this machine or by a service."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from env.decisions.budget import BudgetConfig
from experiments.allocate.answer import Answer
from experiments.allocate.command import AllocateOptions, answer_here, tell
from experiments.errors import ConfigError, RunFolderError
from experiments.service.client.client import Client
from experiments.service.errors import ServiceError
from experiments.settings.command_line import Command, run_typed
from quant.layers import MAX_BITS, MIN_BITS
from quant.records.json_form import from_plain
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

_ALL_WIDTHS = tuple(range(MIN_BITS, MAX_BITS + 1))
_OF_BUDGETS = ("accuracy_drop",)
"""Limits that a service does not know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AllocateAnywhereOptions(AllocateOptions):
    """Say which bits a network should have inside a budget; every figure is predicted.

    A finished run answers for its network, and the shipped policy for one that nobody searched, in
    milliseconds: nothing is retrained or measured. Without a budget there are several answers,
    between the cheapest allocation and all-8. With --job or --server a service is asked, which
    says the same.
    """

    job: Annotated[str, tyro.conf.arg(metavar="JOB")] = ""
    """In place of RUN: a search that a service has finished."""
    server: Annotated[str, tyro.conf.arg(metavar="URL")] = ""
    """The service that is asked; with --job $BITALLOC_SERVER or the one used last by default."""
    target: Annotated[str, tyro.conf.arg(metavar="KEY")] = ""
    """Of a service's board on which --network is to run: one's searches there tell times."""


def main(arguments: Sequence[str]) -> int:
    """Answer, and return the exit code."""
    return run_typed("experiments.service.client.allocate", command(), arguments)


def command() -> Command:
    """Return what can be typed."""
    return Command(options=AllocateAnywhereOptions, work=_command)


def _command(options: AllocateAnywhereOptions) -> None:
    if not (options.job or options.server or options.target):
        answer_here(options)
        return
    with Client(options.server) as client:
        said = client.allocate(options.job, **_asked(options, client))
    tell([_answer_of(said)], json=options.json)


def _asked(options: AllocateAnywhereOptions, client: Client) -> dict[str, Any]:
    """Return what a request has, but for the job; uploads a file that it names."""
    if options.run is not None or options.like:
        raise ConfigError(
            "expected --job JOB or --network FILE for a service, found a folder of this machine",
            "a service goes by the searches that it did; without --server this machine answers",
        )
    if bool(options.job) == (options.network is not None):
        raise ConfigError("expected one of --job and --network for a service")
    if options.budget == BudgetConfig():
        raise ConfigError(
            "expected a limit of time, bytes or energy for a service, found none",
            "such as --budget.latency-ratio 0.6",
        )
    limits = {name: value for name, value in asdict(options.budget).items() if value is not None}
    for name in _OF_BUDGETS:
        if name in limits:
            raise ConfigError(f"budget.{name}: expected a limit of time, bytes or energy")
    if options.network is None:
        return limits
    more: dict[str, Any] = {"target": options.target} if options.target else {}
    if options.bit_choices != _ALL_WIDTHS:
        more["bit_choices"] = list(options.bit_choices)
    if options.shape:
        more["shape"] = list(options.shape)
    return {"network": _network(options.network, client), **more, **limits}


def _network(file: Path, client: Client) -> Any:
    """Return what a request calls a network: an upload, or the layers themselves."""
    try:
        return client.upload(file) if file.suffix == ".onnx" else parse_json(read_regular(file))
    except OSError as error:
        raise RunFolderError(f"cannot read {file}: {error.strerror or error}") from None
    except ValueError as error:
        raise RunFolderError(f"{file} is not JSON: {error}") from None


def _answer_of(said: dict[str, Any]) -> Answer:
    try:
        return from_plain(Answer, said)
    except ValueError as error:
        raise ServiceError(
            f"expected an answer as this version has it, found another: {error}",
            "are the server and this client of one version?",
        ) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
