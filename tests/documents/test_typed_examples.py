"""Every command in the documents can be typed, and blocks that no test runs are counted."""

from collections import Counter
from collections.abc import Sequence
from importlib import import_module

import pytest

from bitalloc.command import COMMANDS
from experiments.settings.command_line import Command, parse_options
from experiments.settings.configured import ConfiguredOptions, read_base
from tests.documents.examples import PAGES, ROOT, blocks, name_of, typed

TYPED = sorted({(name_of(page), name, *words) for page in PAGES for name, words in typed(page)})


@pytest.mark.parametrize("example", TYPED, ids=" ".join)
def test_a_command_of_the_documents_can_be_typed(
    example: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    _, name, *words = example
    if not words or "--help" in words:
        return  # its name alone, in a sentence
    command: Command | dict[str, Command] = import_module(COMMANDS[name][0]).command()
    if not isinstance(command, Command):
        # The first is what is done where none is named.
        command = command[words.pop(0) if words[0] in command else next(iter(command))]
    default = {}
    if issubclass(command.options, ConfiguredOptions):
        default = {"default": command.options(config=read_base(words))}
    parse_options(command.options, words, name, **default)


def test_what_no_test_runs_is_counted_and_says_why() -> None:
    left_out = Counter(name_of(page) for page in PAGES for each in blocks(page) if each.reason)
    assert left_out == {
        "README.md": 2,
        "docs/comparison.md": 1,
        "docs/configuration.md": 1,
        "docs/energy.md": 1,
        "docs/extend/method.md": 2,
        "docs/first_steps.md": 1,
        "docs/index.md": 1,
        "docs/methods.md": 4,
        "docs/retraining.md": 4,
        "docs/run_folder.md": 1,
        "docs/scale.md": 5,
        "docs/service.md": 3,
        "docs/specialisation.md": 1,
        "docs/tasks.md": 2,
        "docs/truth.md": 5,
    }
