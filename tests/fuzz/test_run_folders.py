"""Folders of runs, whatever happened to their files: read as before, or refused in a sentence."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from experiments import run as run_module
from experiments.charts.svg import chart_svg
from experiments.record import files
from experiments.record.environment_facts import environment_facts
from experiments.report import page
from experiments.settings.load import read_config_file
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from tests.fuzz import watch
from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.finished_run import Readers, copy_of, ends_in, files_of, make_finished_run
from tests.fuzz.harms import MARK, Described, apply, of_files, stray

WHOLE_CASES = 60
DRAWN_EVERY = 8
"""Pages whose charts are drawn, too: most of a page's time."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_finished_run(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def readers(run: Path) -> Readers:
    return Readers(read_config_file(run / files.CONFIG))


@pytest.fixture
def same_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine is need not be asked two thousand times."""
    facts: dict[str, Any] = {}

    def known(device: Any) -> Any:
        if str(device) not in facts:
            facts[str(device)] = environment_facts(device)
        return facts[str(device)]

    monkeypatch.setattr(run_module, "environment_facts", known)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    number, per_page = count(), 11

    def some(chart: Any) -> str:
        return chart_svg(chart) if next(number) // per_page % DRAWN_EVERY == 0 else "<svg></svg>"

    monkeypatch.setattr(page, "chart_svg", some)


@pytest.fixture
def bounded() -> Iterator[None]:
    with watch.bounded_memory():
        yield


def _checking(
    run: Path, commands: Sequence[Callable[[Path], int]], limit_s: float
) -> Callable[[Sequence[Described], Path], object]:
    numbers = count()

    def check(harms: Sequence[Described], empty: Path) -> object:
        folder = copy_of(run, empty)
        if not apply(harms, folder):
            return None
        command = commands[next(numbers) % len(commands)]
        answer = watch.ask(lambda: command(folder), folder, limit_s)
        watch.check(answer, str(folder))
        assert not (empty / MARK).exists(), harms
        return command.__name__, answer.code

    return check


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("bounded", "drawn", "same_facts")
def test_a_harmed_run_is_read_or_refused_in_a_sentence(run: Path, readers: Readers) -> None:
    names = files_of(run)
    harms = of_files(names, ends_in(names, ".json", ".jsonl"))
    commands = (readers.report, readers.evaluate, readers.resume, readers.evaluate)
    counts = try_cases(harms, _checking(run, commands, watch.LIMIT_S), run.parent)
    for name in ("report", "evaluate", "resume"):
        assert min(counts[name, DONE], counts[name, USER_MISTAKE]) > CASES // 40


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("bounded", "same_facts")
def test_a_harmed_run_goes_on_or_is_refused_in_a_sentence(run: Path, readers: Readers) -> None:
    names = files_of(run)
    read = [name for name in names if not name.startswith(("evaluate.json", "results", "pareto"))]
    harms = of_files(read, ends_in(read, ".json", ".jsonl"))
    try_cases(harms, _checking(run, [readers.whole], 60.0), run.parent, WHOLE_CASES)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json.py", "sitecustomize.py", "numpy.py", "tb/yaml.py"])
def test_python_in_a_run_is_nothing(run: Path, readers: Readers, tmp_path: Path, name: str) -> None:
    folder = copy_of(run, tmp_path)
    assert apply([stray(name)], folder)
    for command in (*readers.cheap, readers.whole):
        answer = watch.ask(lambda command=command: command(folder), folder, 60.0)  # type: ignore[misc]
        watch.check(answer)
        assert answer.code == DONE
    assert not (tmp_path / MARK).exists()
