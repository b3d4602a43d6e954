"""Configurations, whatever happened to them: read, or refused in a sentence that says where."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import strategies as st

from experiments.settings.configured import load_config
from experiments.settings.load import config_to_yaml, read_config_file
from experiments.settings.run_config import RunConfig
from experiments.settings.strict_yaml import read_yaml
from experiments.terminal.exit_codes import DONE, USER_MISTAKE, run_command
from tests.fuzz import watch
from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.harms import (
    EDITS,
    MARK,
    VALUES,
    Described,
    apply,
    changed_value,
    content,
    of_files,
    read,
)

NAME = "run.yaml"
CONFIGS = sorted(Path("experiments/configs").glob("*.yaml"))
TYPED_EVERY = 20
"""Cases that go through the whole command line as well, which takes half a second."""
LINES = (
    *("? [a, b]", "- a", "a: &a [*a]", "<<: {seed: 1}", "seed: 010", "seed: 1_000", "seed: 0x1F"),
    *("seed: 1e3", "seed: !!int '7'", "seed: !!float .inf", "seed: !!python/name:os.system ''"),
    "a: !!python/object/apply:os.system ['touch executed']",
    "a: !!python/object/new:os.system ['touch executed']",
    *("%YAML 3.0", "---", "...", "--- {}\n--- {}", "seed: 2001-02-31", "seed: !!timestamp 'x'"),
    *("seed: !!binary 'x'", "a: !!set {b}", "a: !!omap [b: 1]", "\tseed: 1", "seed: |\n  1", "*b"),
    "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]",
    *("env.finetune.steps: 3", "env.finetune: {steps: 3}", "env: 3", "~: 1", "seed: seed", "é: ü"),
    *("task.name.x: 1", ".: 1", "..: 1", "seed.: 1", "env..steps: 1", "'': {'': 1}", "null: null"),
    *(
        f"seed: {'9' * 5000}",
        f"a: {'[' * 3000}",
        f"{'a' * 3000}: 1",
        "seed: '\\ud800'",
        'a: "\\ud800"',
    ),
    *("evaluations: 1e400", "config_schema: true", "config_schema: 99", "config_schema: [2]"),
    *("energy.command: touch executed", "task.model: ~/../x", 'output: "a\\0b"', "output: ''"),
)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with watch.bounded_memory():
        yield


def _value(place: int, value: Any, edit: str) -> Described:
    def work(folder: Path) -> None:
        file = folder / NAME
        try:
            document = changed_value(read_yaml(read(file)), place, value, edit)
            file.write_text(yaml.safe_dump(document, sort_keys=False))
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from None

    return Described("value", place, edit, repr(value)[:40], work=work)


def _line(line: str, place: int) -> Described:
    """Put a line of YAML between two others."""

    def change(data: bytes) -> bytes:
        lines = data.split(b"\n")
        at = place % (len(lines) + 1)
        return b"\n".join([*lines[:at], line.encode("utf-8", "replace"), *lines[at:]])

    return content(NAME, change, "line", line[:60], place)


HARMS = st.one_of(
    of_files([NAME], [NAME]),
    st.builds(_value, st.integers(0, 999), st.sampled_from(VALUES), st.sampled_from(EDITS)),
    st.builds(_value, st.integers(0, 999), st.sampled_from(VALUES), st.sampled_from(EDITS)),
    st.builds(_value, st.integers(0, 999), st.text(max_size=6), st.just("replace")),
    st.builds(_line, st.sampled_from(LINES), st.integers(0, 999)),
    st.builds(_line, st.sampled_from(LINES), st.integers(0, 999)),
    st.builds(lambda text: content(NAME, lambda data: text, "all", text), st.binary(max_size=60)),
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_harmed_configuration_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    bases = [config_to_yaml(RunConfig()).encode(), *(file.read_bytes() for file in CONFIGS)]
    number = 0

    def check(harms: Sequence[Described], empty: Path) -> object:
        nonlocal number
        folder, found = empty / "configs", []
        folder.mkdir()
        file = folder / NAME
        file.write_bytes(bases[number % len(bases)])
        if not apply(harms, folder):
            return None
        number += 1

        def command() -> int:
            typed = number % TYPED_EVERY == 0
            found.append(load_config(["--config", str(file)]) if typed else read_config_file(file))
            return DONE

        answer = watch.ask(lambda: run_command(command), folder)
        watch.check(answer, str(file))
        assert not (empty / MARK).exists(), harms
        assert not Path(MARK).exists(), harms
        if answer.code == DONE:  # what is written is what was read
            file.unlink()
            file.write_text(config_to_yaml(found[0]), encoding="utf-8")
            assert read_config_file(file) == found[0]
        return answer.code

    counts = try_cases(HARMS, check, tmp_path)
    assert min(counts[DONE], counts[USER_MISTAKE]) > CASES // 20
