"""A configuration as a YAML file: read over the defaults, written whole, changed by a resume."""

import json
from pathlib import Path
from typing import Any

import pydantic
import yaml

from experiments.errors import ConfigError
from experiments.settings.before import as_meant_then
from experiments.settings.keys import dotted_keys, dotted_values, in_sections, unknown_key
from experiments.settings.run_config import RunConfig
from experiments.settings.strict_yaml import read_yaml
from experiments.terminal.typed import typed_sibling
from quant.errors import BitAllocError, TrainingError
from quant.records.json_form import to_plain
from quant.records.regular_file import read_regular

_SCHEMA_KEY = "config_schema"
_CONFIG_SCHEMA = 5
"""Raised when a key changes its meaning, so that an older version refuses the file."""

_RESUMABLE = (
    *("evaluations", "quiet", "train.ray", "train.workers"),
    *("target.tracker", "target.key", "target.server", "target.boards"),
    *("target.reconnect_s", "target.busy_s"),
)
"""Keys that may change when a run is resumed: among them how the board is reached, which may have
another address by then, and must still be the same kind of board."""

_SHIPPED = Path("experiments", "configs")
"""Where documents say that the configurations are which the project brings."""

# A tuple around the tree, because only a container takes a config for the dataclasses inside.
_ADAPTER: pydantic.TypeAdapter[tuple[RunConfig]] = pydantic.TypeAdapter(
    tuple[RunConfig], config=pydantic.ConfigDict(extra="forbid", strict=True)
)


def check_resumable(before: RunConfig, now: RunConfig) -> None:
    """Refuse a change of what was done so far.

    Raises:
        ConfigError: names the key that cannot change when a run is resumed.
    """
    known = dotted_values(before)
    for name, value in dotted_values(now).items():
        if name not in _RESUMABLE and value != known[name]:
            raise ConfigError(
                f"{name} cannot change when a run is resumed; only {', '.join(_RESUMABLE)} can",
                "start a new run with --config RUN/config.yaml and the other flags",
            )


def read_config_file(file: Path) -> RunConfig:
    """Read a YAML file over the defaults.

    `experiments/configs/NAME.yaml` is the project's own where there is none in the working folder,
    as after an installation from a wheel.

    Raises:
        ConfigError: not there, not YAML, or not a configuration; names the dotted key.
    """
    try:
        document = read_yaml(read_regular(_own_or_shipped(file)))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration {file}: {error.strerror or error}",
            "give an existing file to --config",
        ) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file} is not YAML as configurations have it: {reason}") from None
    return config_from({} if document is None else document, str(file))


def config_from(document: Any, where: str) -> RunConfig:
    """Return the configuration of a document as YAML or JSON has it, over the defaults.

    Args:
        document: Sections, or dotted keys, or both.
        where: What has it, for messages.

    Raises:
        ConfigError: it is not a configuration; names the dotted key.
    """
    if not isinstance(document, dict):
        raise ConfigError(
            f"{where}: expected sections such as `protocol:`, found {type(document).__name__}"
        )
    sections = {key: value for key, value in document.items() if key != _SCHEMA_KEY}
    schema = document.get(_SCHEMA_KEY, _CONFIG_SCHEMA)
    _check_schema(schema, where)
    sections = as_meant_then(_as_people_write(in_sections(sections, where)), schema)
    try:
        # JSON, because in its strict mode a list is a tuple but a text is never a number.
        return _ADAPTER.validate_json(json.dumps([sections], default=str))[0]
    except pydantic.ValidationError as error:
        raise _from_pydantic(error, where) from None


def _own_or_shipped(file: Path) -> Path:
    shipped = Path(__file__).parents[1] / _SHIPPED.name / file.name
    return shipped if file == _SHIPPED / file.name and not file.exists() else file


def config_to_yaml(config: RunConfig) -> str:
    """Return the whole configuration as YAML; `read_config_file` gives it back equal."""
    document = {_SCHEMA_KEY: _CONFIG_SCHEMA, **to_plain(config)}
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None)


def _as_people_write(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without sections that are left empty, and `~/` as a folder."""
    sections = {name.partition(".")[0] for name in dotted_keys(RunConfig()) if "." in name}
    return {
        key: _with_home(value)
        for key, value in document.items()
        if value is not None or key not in sections
    }


def _with_home(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_home(inner) for key, inner in value.items()}
    return str(Path(value).expanduser()) if str(value).startswith("~/") else value


def _check_schema(found: object, where: str) -> None:
    if not isinstance(found, int) or isinstance(found, bool):
        raise ConfigError(f"{_SCHEMA_KEY}: expected an integer, found {found!r}, in {where}")
    if found > _CONFIG_SCHEMA:
        raise ConfigError(
            f"{where} was written by a newer version: its {_SCHEMA_KEY} is {found}, this version "
            f"reads up to {_CONFIG_SCHEMA}",
            "upgrade with pip install --upgrade bitalloc",
        )


def _from_pydantic(error: pydantic.ValidationError, where: str) -> BitAllocError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][1:])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, TrainingError):  # of several sections, so that it cannot name its own
        return ConfigError(f"{key}.{cause.message}, in {where}", cause.hint)
    if isinstance(cause, BitAllocError):
        return ConfigError(f"{cause.message}, in {where}", cause.hint)
    if first["type"] == "unexpected_keyword_argument":
        return unknown_key(key, dotted_keys(RunConfig()), where, _help_hint())
    expected = str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return ConfigError(
        f"{key}: expected {expected}, found {_short(first['input'])}, in {where}", _help_hint()
    )


def _help_hint() -> str:
    return f"{typed_sibling('run')} --help lists every key"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
