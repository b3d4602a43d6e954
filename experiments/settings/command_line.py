"""The command line: a command is a dataclass of options, which tyro reads, and what it does."""

import io
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_type_hints

import tyro
from tyro import _errors as refusals  # tyro's one way to a refusal that is no drawn box

from experiments.errors import ConfigError
from experiments.settings import sectioned_help
from experiments.settings.keys import dotted_keys, unknown_key
from experiments.terminal.exit_codes import run_command
from experiments.terminal.streams import patient_streams
from experiments.terminal.typed import typed_program
from quant.errors import BitAllocError

_FORMER = {
    "task": "--task.name",
    "hide-wide-vectors": "python -m tools.hide_wide_vectors -m experiments.bench runtime",
}
"""What is typed now in place of a flag of before."""

RunPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
"""The folder of a finished run, as a command's one argument."""

_Options = TypeVar("_Options")


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command that can be typed."""

    options: type[Any]
    """What it can be asked: a dataclass whose docstrings are the help."""
    work: Callable[[Any], int | None]
    """Does what the options ask for; may return an exit code."""
    defaults: Callable[[Sequence[str], str], Any] | None = None
    """Makes the options that flags are read over, from the command line and the command as it was
    typed; None where they are the options' own."""


def run_typed(
    module: str, command: Command | Mapping[str, Command], arguments: Sequence[str]
) -> int:
    """Read a command line, do what it asks for and return the exit code.

    Args:
        module: What is started with `python -m`, and so called unless `typed_as` says otherwise.
        command: The one command, or several by the name that comes first.
        arguments: The command line without the program's name.

    Raises:
        SystemExit: `--help` was asked for and printed.
    """

    def work() -> int | None:
        _check_encoding(arguments)
        one, rest, program = command, arguments, typed_program(module)
        if not isinstance(one, Command):
            name, rest = next(iter(arguments), ""), arguments[1:]
            if name not in one:
                raise _no_command(name, one, program)
            one, program = one[name], f"{program} {name}"
        default: dict[str, Any] = {}
        if one.defaults is not None:
            default = {"default": one.defaults(rest, command_line(module, arguments))}
        return one.work(parse_options(one.options, rest, program, **default))

    with patient_streams():
        return run_command(work)


def _check_encoding(arguments: Sequence[str]) -> None:
    """Refuse words that no record could hold: configurations, JSON and TensorBoard are in UTF-8."""
    for word in arguments:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"expected a command line in UTF-8, found {str(os.fsencode(word))[1:]} in it",
                "name files and folders in UTF-8: records of them could not be written otherwise",
            ) from None


def command_line(module: str, arguments: Sequence[str]) -> str:
    """Return the command as one would type it."""
    return shlex.join(["python", "-m", module, *arguments])


def path_flag(flag: str, what: str, arguments: Sequence[str]) -> Path | None:
    """Return the path after a flag, None without it; tyro cannot start from what it is to read.

    Raises:
        ConfigError: the flag has no value.
    """
    value = flag_value(flag, what, arguments)
    return None if value is None else Path(value)


def flag_value(flag: str, what: str, arguments: Sequence[str]) -> str | None:
    """Return the text after a flag, None without it.

    Raises:
        ConfigError: the flag has no value.
    """
    found = None
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, value = argument.partition("=")
        if name == flag:
            value = value if equals else following
            if not value or value.startswith("--"):
                raise ConfigError(f"{flag}: expected {what}, found nothing")
            found = value
    return found


def parse_options(
    options: type[_Options], arguments: Sequence[str], program: str, **default: Any
) -> _Options:
    """Read options from flags, over `default` where it is given.

    Raises:
        BitAllocError: an unknown flag, a wrong value, or one that its section refuses.
        SystemExit: `--help` was asked for and printed.
    """

    def refuse(event: refusals.ParseErrorEvent) -> None:
        # A section's own refusal knows what helps; tyro's event has its message alone.
        cause = sys.exception()
        while cause is not None and not isinstance(cause, BitAllocError):
            cause = cause.__context__
        hint = f"{event.prog} --help all lists every flag"
        if cause is not None:
            raise ConfigError(cause.message, cause.hint or hint) from None
        for token in arguments:  # tyro's event may tell of what is missing alone
            if what := _positional(options, _key(token)):
                flag = token.partition("=")[0]
                raise ConfigError(f"{flag}: {what} stands without a flag", f"{event.prog} {what}")
        for token in _unrecognized_words(event):
            raise _unknown_argument(token, default.get("default", options), hint)
        if sentence := _sentence(event):
            raise ConfigError(sentence, hint) from None

    with refusals.on_parse_error(refuse):
        if (wanted := sectioned_help.asked_for(arguments)) is not None:
            print(sectioned_help.shorten(_whole_help(options, program, default), wanted, program))
            raise SystemExit(0)
        parsed: _Options = tyro.cli(options, args=arguments, prog=program, **default)
    return parsed


def _whole_help(options: Any, program: str, default: Mapping[str, Any]) -> str:
    # With an encoding, as what tyro draws depends on it.
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(printed), suppress(SystemExit):
        tyro.cli(options, args=["--help"], prog=program, **default)
    printed.seek(0)
    return printed.read()


def _sentence(event: refusals.ParseErrorEvent) -> str:
    """Say what is wrong, or nothing where a later tyro refuses what this one does not know."""
    match event:
        case refusals.InvalidChoice():
            expected = ", ".join(choice for choice in event.choices if choice != "None")
            name = _name(event.argument)
            return f"invalid choice {event.value!r} for argument {name!r}: expected {expected}"
        case refusals.MissingArgs():
            names = ", ".join(_name(missing.arg) for missing in event.missing_arguments)
            return f"{names}: expected a value, found none"
        case refusals.BadValue():
            return f"{_name(event.argument)}: expected a value, found none"
        case refusals.InstantiationFailure(message=message, argument=argument):
            if argument is None:
                return message
            _, unreadable, words = message.partition("Could not find valid parse for arguments: ")
            expected = str(argument.lowered.metavar).replace("|", " or ")
            reason = f"expected {expected}, found {words}" if unreadable else message
            return f"{_name(argument)}: {reason}"
    return ""


def _name(argument: Any) -> str:
    """Return what the help calls an argument: its flag, or `RUN`."""
    return str(argument.lowered.metavar if argument.is_positional() else argument.display_name())


def _unrecognized_words(event: refusals.ParseErrorEvent) -> Sequence[str]:
    match event:
        case refusals.UnrecognizedArgs():
            return event.tokens
        case refusals.MissingArgs():
            return event.unrecognized_tokens
    return ()


def _key(token: str) -> str:
    """Return the name of a flag as options have it, empty where a word is no flag."""
    flag, found = token.partition("=")[0], token.startswith("--")
    return flag.removeprefix("--").replace("-", "_") if found else ""


def _positional(options: type[Any], key: str) -> str:
    """Return what help calls an option that has no flag, empty where it has one."""
    marks = getattr(get_type_hints(options, include_extras=True).get(key), "__metadata__", ())
    if tyro.conf.Positional not in marks:
        return ""
    return next((mark.metavar for mark in marks if getattr(mark, "metavar", "")), key.upper())


def _unknown_argument(token: str, options: Any, hint: str) -> ConfigError:
    if not token.startswith("--"):
        return ConfigError(f"Unrecognized argument {token}, in the command line", hint)
    flag = token.removeprefix("--").partition("=")[0]
    if flag in _FORMER:
        return ConfigError(f"--{flag} is now {_FORMER[flag]}", hint)
    names = [name.removeprefix("config.") for name in dotted_keys(options)]
    return unknown_key(_key(token), names, "the command line", hint)


def _no_command(name: str, commands: Mapping[str, Command], program: str) -> ConfigError:
    """Return the refusal of a name; ask tyro for the help where that is what is wanted."""
    if name in ("-h", "--help"):
        named = (
            Annotated[one.options, tyro.conf.subcommand(each)] for each, one in commands.items()
        )
        choices: Any = Union[tuple(named)]  # noqa: UP007
        tyro.cli(choices, args=[name], prog=program)
    return ConfigError(
        f"{program}: expected one of {', '.join(commands)}, found {name or 'nothing'}",
        f"{program} --help says what they do",
    )
