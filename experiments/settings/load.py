"""Loading a configuration: defaults, then a YAML file, then dotted command-line overrides."""

import contextlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic
import tyro
import yaml

from experiments.errors import ConfigError
from experiments.settings.keys import closest, dotted_keys, to_plain
from experiments.settings.run_config import RunConfig
from quant.errors import BitAllocError

__all__ = [
    "config_to_yaml",
    "load_config",
    "override_resumed",
    "read_config_file",
    "take_resume_flag",
]

SCHEMA_KEY = "config_schema"
CONFIG_SCHEMA = 1
"""Raised when a key changes its meaning, so that an older version refuses the file."""

RESUMABLE = (
    *("evaluations", "quiet"),
    *("target.tracker", "target.key", "target.server", "target.boards"),
    *("target.reconnect_s", "target.busy_s"),
)
"""Keys that may change when a run is resumed: among them how the board is reached, which may have
another address by then, and must still be the same kind of board."""

_HELP_HINT = "python -m experiments.run --help lists every key"
_DESCRIPTION = (
    "Search the bit-width of every layer of a network. Values come from the defaults below, "
    "then from --config FILE.yaml, then from the other flags."
)

# A tuple around the tree, because only a container takes a config for the dataclasses inside.
_ADAPTER: pydantic.TypeAdapter[tuple[RunConfig]] = pydantic.TypeAdapter(
    tuple[RunConfig], config=pydantic.ConfigDict(extra="forbid", strict=True)
)


def load_config(arguments: Sequence[str]) -> RunConfig:
    """Return the configuration that the command line asks for.

    Args:
        arguments: The command line without the program's name.

    Raises:
        ConfigError: an unknown key, a wrong type, or a value its section refuses.
        SystemExit: `--help` was asked for and printed.
    """
    file, overrides = _take_path_flag("config", "a YAML file", list(arguments))
    base = read_config_file(file) if file is not None else RunConfig()
    _check_flags(overrides, base)
    return _override(base, overrides)


def take_resume_flag(arguments: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Take `--resume RUN` out of a command line.

    Raises:
        ConfigError: the flag has no value.
    """
    return _take_path_flag("resume", "the folder of a run", list(arguments))


def override_resumed(config: RunConfig, arguments: Sequence[str]) -> RunConfig:
    """Apply the few flags that may change when a run is resumed.

    Raises:
        ConfigError: a flag would change what was done so far, or is unknown.
    """
    _check_flags(arguments, config)
    for argument in arguments:
        name = argument.removeprefix("--").split("=", 1)[0].replace("-", "_")
        if argument.startswith("--") and name.removeprefix("no_") not in (*RESUMABLE, "help"):
            raise ConfigError(
                f"{name} cannot change when a run is resumed; only {', '.join(RESUMABLE)} can",
                "start a new run with --config RUN/config.yaml and the other flags",
            )
    return _override(config, arguments)


def read_config_file(file: Path) -> RunConfig:
    """Read a YAML file over the defaults.

    Raises:
        ConfigError: not there, not YAML, or not a configuration; names the dotted key.
    """
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the configuration {file}: {error}", "give an existing file to --config"
        ) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file} is not YAML: {reason}") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(
            f"{file}: expected sections such as `protocol:`, found {type(document).__name__}"
        )
    _check_schema(document.pop(SCHEMA_KEY, CONFIG_SCHEMA), file)
    try:
        # JSON, because in its strict mode a list is a tuple but a text is never a number.
        return _ADAPTER.validate_json(json.dumps([document], default=str))[0]
    except pydantic.ValidationError as error:
        raise _from_pydantic(error, file) from None


def config_to_yaml(config: RunConfig) -> str:
    """Return the whole configuration as YAML; `read_config_file` gives it back equal."""
    document = {SCHEMA_KEY: CONFIG_SCHEMA, **to_plain(config)}
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None)


def _check_schema(found: object, file: Path) -> None:
    if not isinstance(found, int) or isinstance(found, bool):
        raise ConfigError(f"{SCHEMA_KEY}: expected an integer, found {found!r}, in {file}")
    if found > CONFIG_SCHEMA:
        raise ConfigError(
            f"{file} was written by a newer version: its {SCHEMA_KEY} is {found}, this version "
            f"reads up to {CONFIG_SCHEMA}",
            "upgrade with pip install --upgrade bitalloc",
        )


def _take_path_flag(flag: str, what: str, arguments: list[str]) -> tuple[Path | None, list[str]]:
    path: Path | None = None
    rest = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == f"--{flag}":
            value = next(remaining, None)
            if value is None or value.startswith("--"):
                raise ConfigError(f"--{flag}: expected {what}, found nothing")
            path = Path(value)
        elif argument.startswith(f"--{flag}="):
            path = Path(argument.removeprefix(f"--{flag}="))
        else:
            rest.append(argument)
    return path, rest


def _check_flags(arguments: Sequence[str], base: RunConfig) -> None:
    """Refuse flags that name no key; tyro would list them together with their values."""
    names = dotted_keys(base)
    flags = {"help", *names}
    for name in names:
        section, _, last = name.rpartition(".")
        flags.add(f"{section}.no_{last}" if section else f"no_{last}")
    for argument in arguments:
        if not argument.startswith("--"):
            continue
        key = argument[2:].split("=", 1)[0].replace("-", "_")
        if key not in flags:
            raise _unknown_key(key, names, "the command line")


def _override(base: RunConfig, arguments: Sequence[str]) -> RunConfig:
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            return tyro.cli(
                RunConfig,
                args=list(arguments),
                default=base,
                prog="python -m experiments.run",
                description=_DESCRIPTION,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        # A section's own refusal knows what helps; tyro's box has its message alone.
        if isinstance(refusal := stop.__context__, BitAllocError):
            raise ConfigError(refusal.message, refusal.hint or _HELP_HINT) from None
        raise ConfigError(_tyro_sentence(output.getvalue()), _HELP_HINT) from None


def _tyro_sentence(panel: str) -> str:
    """Return the first sentence of tyro's boxed message; the rest of it is help text."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", panel)
    sentence: list[str] = []
    for line in plain.splitlines()[1:]:
        text = line.strip("│| ")
        if text and not set(text) <= set("─-╰╯+"):
            sentence.append(text)
        elif sentence:
            break
    # A section's own refusal names its key already; a flag that cannot be parsed is the key.
    said = re.sub(r"^Error parsing (RunConfig|[a-z_.]+): ", "", " ".join(sentence))
    return said.removeprefix("Error parsing ").rstrip(".")


def _from_pydantic(error: pydantic.ValidationError, file: Path) -> BitAllocError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][1:])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, BitAllocError):
        return ConfigError(f"{cause.message}, in {file}", cause.hint)
    if first["type"] == "unexpected_keyword_argument":
        return _unknown_key(key, dotted_keys(RunConfig()), str(file))
    expected = str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return ConfigError(
        f"{key}: expected {expected}, found {_short(first['input'])}, in {file}", _HELP_HINT
    )


def _unknown_key(key: str, names: Sequence[str], where: str) -> ConfigError:
    sections = {name.split(".")[0] for name in names}
    meant = closest(key, [*names, *sections])
    hint = f"did you mean {meant}?" if meant else _HELP_HINT
    return ConfigError(f"unknown key {key}, in {where}", hint)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
