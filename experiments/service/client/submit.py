"""bitalloc submit: a job for the service; `search` where no kind is named."""

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from env.tasks.own_data.data_file import DATA_FILES
from experiments.compare.plan import DEFAULT_BUDGETS
from experiments.errors import ConfigError, RunFolderError
from experiments.service.client.client import Client
from experiments.service.client.following import follow
from experiments.service.client.options import ClientOptions, JobName
from experiments.settings.command_line import Command, run_typed
from experiments.settings.configured import ConfiguredOptions, configured_command
from experiments.settings.keys import dotted_values
from experiments.settings.run_config import RunConfig
from experiments.terminal.exit_codes import DONE
from quant.records.regular_file import read_regular
from quant.records.strict_json import parse_json

_UPLOADED = {"task.data": DATA_FILES, "task.model": (".onnx",)}
"""Keys whose files are sent, and what their names end in."""
_LONGEST_ID, _BUNDLE = 64, "-bundle"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnyJobOptions(ClientOptions):
    """What every job has."""

    id: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """The job's id; made up by default."""
    priority: int = 0
    """Among one's own jobs; higher ones come first."""
    watch: bool = False
    """Follow it until it is over."""

    @property
    def more(self) -> dict[str, Any]:
        """What a request has of these."""
        return {"priority": self.priority, **({"id": self.id} if self.id else {})}


_Any = Annotated[AnyJobOptions, tyro.conf.arg(name="")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfiguredJobOptions(ConfiguredOptions):
    """What every job with a configuration has."""

    any: _Any = field(default_factory=AnyJobOptions)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitSearchOptions(ConfiguredJobOptions):
    """Hand in a search, and the export of its answer; files that it names are uploaded."""

    bundle: bool = True
    """Also hand in the job that writes the bundle, NAME-bundle, where times are real."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitMeasureOptions(ConfiguredJobOptions):
    """Hand in the timing of one allocation, untrained."""

    allocation: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    """The bits of each layer, as `best_allocation.json` of a run has them."""
    bits: int | None = None
    """In place of a file: the same bits for every layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitStaircaseOptions(ConfiguredJobOptions):
    """Hand in the timing of each layer at each bit-width."""

    shapes: Literal["standard", "small"] | None = None
    """Layers of well-known networks instead of the task's network."""
    all_pairs: bool = False
    """Also time every pair of unequal weight and activation bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitCompareOptions(ConfiguredJobOptions):
    """Hand in a comparison of methods."""

    methods: tuple[str, ...]
    """Methods to compare."""
    budgets: tuple[float, ...] = DEFAULT_BUDGETS
    """Shares of the way from the fastest uniform allocation's time to all-8's."""
    seeds: int = 1
    """How many seeds, from 0 on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitEvaluateOptions(AnyJobOptions):
    """Hand in the evaluation of a search's answer, from nothing."""

    of: JobName
    """The search; it need not be over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmitExportOptions(AnyJobOptions):
    """Hand in the export of a search's answer as a bundle."""

    of: JobName
    """The search; it need not be over."""
    onnx: bool = True
    """With a model in ONNX, too."""


def main(arguments: Sequence[str]) -> int:
    """Hand a job in and return the exit code."""
    commands = command()
    named = next(iter(arguments), "") in (*commands, "--help", "-h")
    rest = arguments if named else ["search", *arguments]
    return run_typed("experiments.service.client.submit", commands, rest)


def command() -> Mapping[str, Command]:
    """Return what can be typed, by its name."""
    return {
        "search": configured_command(SubmitSearchOptions, _search),
        "evaluate": Command(options=SubmitEvaluateOptions, work=partial(_of, "evaluate")),
        "export": Command(options=SubmitExportOptions, work=partial(_of, "export")),
        "measure": configured_command(SubmitMeasureOptions, _measure),
        "staircase": configured_command(SubmitStaircaseOptions, _staircase),
        "compare": configured_command(SubmitCompareOptions, _compare),
    }


def _search(options: SubmitSearchOptions) -> int:
    asked = options.any
    name = asked.id or f"search-{secrets.token_hex(5)}"
    bundle = f"{name}{_BUNDLE}"
    if options.bundle and len(bundle) > _LONGEST_ID:
        raise ConfigError(
            f"--id: expected at most {_LONGEST_ID - len(_BUNDLE)} characters, found {len(name)}",
            f"ids have at most {_LONGEST_ID}, and the bundle's is NAME{_BUNDLE}; or --no-bundle",
        )
    with Client(asked.server) as client:
        more = {**asked.more, "id": name}
        names = [_hand_in(client, "search", settings=_settings(options.config, client), **more)]
        if options.bundle and not client.job(name)["simulated"]:
            names.append(_hand_in(client, "export", of=name, id=bundle, priority=asked.priority))
        return _see(client, names, asked.watch)


def _measure(options: SubmitMeasureOptions) -> int:
    more: dict[str, Any] = {"bits": options.bits} if options.bits is not None else {}
    if options.allocation is not None:
        more["allocation"] = _read(options.allocation)
    return _one("measure", options, **more)


def _staircase(options: SubmitStaircaseOptions) -> int:
    return _one("staircase", options, shapes=options.shapes, all_pairs=options.all_pairs)


def _compare(options: SubmitCompareOptions) -> int:
    return _one(
        "compare",
        options,
        methods=list(options.methods),
        budgets=list(options.budgets),
        seeds=options.seeds,
    )


def _of(kind: str, options: SubmitEvaluateOptions | SubmitExportOptions) -> int:
    more = options.more
    if isinstance(options, SubmitExportOptions):
        more["onnx"] = options.onnx
    with Client(options.server) as client:
        name = _hand_in(client, kind, of=options.of, **more)
        return _see(client, [name], options.watch)


def _one(kind: str, options: ConfiguredJobOptions, **more: Any) -> int:
    asked = options.any
    with Client(asked.server) as client:
        settings = _settings(options.config, client)
        name = _hand_in(client, kind, settings=settings, **more, **asked.more)
        return _see(client, [name], asked.watch)


def _hand_in(client: Client, kind: str, **request: Any) -> str:
    """Hand a job in and say so at once: the next one may be refused. Return its id."""
    name: str = client.submit(kind, **request)["id"]
    print(f"handed in: {name}", flush=True)
    return name


def _see(client: Client, names: Sequence[str], watch: bool) -> int:
    if not watch:
        print(f"see it: bitalloc watch {names[0]}")
        return DONE
    for name in names:
        if code := follow(client, name):
            return code
    return DONE


def _settings(config: RunConfig, client: Client) -> dict[str, Any]:
    """Return what differs from the defaults, with files by what the service calls them."""
    usual = dotted_values(RunConfig())
    given = {key: value for key, value in dotted_values(config).items() if value != usual[key]}
    for key, suffixes in _UPLOADED.items():
        value = str(given.get(key, ""))
        if value.endswith(suffixes):
            if not Path(value).is_file():
                raise ConfigError(f"{key}: expected a file to upload, found no {value}")
            given[key] = client.upload(Path(value))
    return given


def _read(file: Path) -> Any:
    try:
        return parse_json(read_regular(file))
    except OSError as error:
        raise RunFolderError(f"cannot read {file}: {error.strerror or error}") from None
    except ValueError as error:
        raise RunFolderError(f"{file} is no allocation: {error}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
