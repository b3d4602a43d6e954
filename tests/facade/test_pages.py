"""The examples of README and of every page run from an installed wheel in an empty folder."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from shutil import copytree

import pytest

from bitalloc.command import COMMANDS
from experiments.settings.command_line import Command
from experiments.settings.configured import ConfiguredOptions
from tests.documents.examples import PAGES, Example, blocks, command_in, lines, name_of
from tests.facade.installed import Installed

_SHORT = {
    "--no-tune": "",
    "--evaluations": "5",
    "--protocol.warmups": "0",
    "--protocol.repeats": "5",
    "--protocol.min-repeat-ms": "0.2",
    "--env.calibration-images": "64",
    "--env.finetune.steps": "1",
    "--env.finetune.compensation-images": "32",
    "--final.steps": "1",
    "--final.compensation-images": "32",
}
"""What is added to a command that takes a configuration, where the page says nothing of it: the
same is done, in seconds for minutes."""
_SHORTER: Mapping[str, Mapping[str, str]] = {
    "bench runtime": {"--networks": "resnet8", "--repeats": "3", "--engines": "bitalloc torch"},
    "bench noise": {"--pairs": "3"},
    "bench specialisation": {"--env.bit-choices": "4 8"},
    "staircase": {"--bits": "4"},
}

WITH_EXAMPLES = [page for page in PAGES if any(not each.reason for each in blocks(page))]


@pytest.fixture(scope="module")
def finished(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return `runs` with one finished run, which pages call `runs/latest`."""
    place = tmp_path_factory.mktemp("finished")
    run(installed, place, Example(language="bash", text="bitalloc run --method uniform", reason=""))
    return place / "runs"


@pytest.fixture
def folder(installed: Installed, finished: Path, tmp_path: Path) -> Path:
    """Return a folder with nothing in it but the environment and that run."""
    (tmp_path / ".venv").symlink_to(installed.venv)
    copytree(finished, tmp_path / "runs", symlinks=True)
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name_of)
def test_the_examples_of_a_page_run(page: Path, installed: Installed, folder: Path) -> None:
    for example in blocks(page):
        if not example.reason:
            run(installed, folder, example)


def run(installed: Installed, folder: Path, example: Example) -> None:
    match example.language:
        case "python":
            command = ["python", "-c", example.text]
        case "yaml":
            (folder / "page.yaml").write_text(example.text, encoding="utf-8")
            command = ["bash", "-c", shortened("bitalloc run --config page.yaml")]
        case "bash":
            text = "\n".join(shortened(line) for line in lines(example.text))
            command = ["bash", "-euxo", "pipefail", "-c", text]
        case other:
            raise AssertionError(f"nothing is known of how to run {other}")
    done = installed.start(folder, *command)
    assert done.returncode == 0, f"{example.text}\n{done.stdout}\n{done.stderr}"


def shortened(line: str) -> str:
    """Return a shell's line with what makes its command short."""
    found = command_in(line)
    if found is None or "--help" in line:
        return line
    name, words = found
    command, flags = import_module(COMMANDS[name][0]).command(), dict(_SHORTER.get(name, {}))
    if not isinstance(command, Command):
        flags = dict(_SHORTER.get(f"{name} {words[0]}", {}))
        command = command[words[0]]
    if issubclass(command.options, ConfiguredOptions) and "--resume" not in words:
        flags |= _SHORT
    return f"{line} {spelled(flags, words)}"


def spelled(flags: Mapping[str, str], words: Sequence[str]) -> str:
    return " ".join(f"{flag} {values}" for flag, values in flags.items() if flag not in words)
