"""The page of a run: complete, alone in the world, and with the numbers of its folder."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.charts.front import uniform_bits
from experiments.record import files
from experiments.record.islands import ListedIsland
from experiments.report.command import main, write_report
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from quant.allocation import Allocation, LayerBits
from quant.layers import FLOAT_BITS
from quant.records.json_form import to_plain
from quant.retraining.retrained import Retrained
from tests.experiments.run_folders import begin, evaluations, make_run

SECTIONS = (
    "Accuracy against latency",
    "Bits of each layer",
    "Results",
    "Learning curves",
    "Measurements",
    "Layer table of the device",
    "What was modelled",
    "Machine",
    "Command and configuration",
)
VOID = {"meta", "link"}


class Page(HTMLParser):
    """Everything a test asks of a page; fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.rows: list[list[str]] = []
        self.elements: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._open and self._open[-1] == "h3":
            self.headings.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data


def test_a_finished_run_has_every_section(tmp_path: Path) -> None:
    path = write_report([make_run(tmp_path).path])
    page = Page(path.read_text())
    assert path.name == "report.html"
    assert tuple(page.headings) == SECTIONS
    assert page.elements.count("svg") >= 6  # front, learning curves, a staircase for each layer


def test_a_long_run_has_a_small_page_and_always_the_same(tmp_path: Path) -> None:
    run = make_run(tmp_path, layers=tuple(f"stage{number}.conv" for number in range(24)))
    table = json.loads((run.path / "layer_table.json").read_text())
    for times in table["layers"].values():
        times |= {f"{w}/{a}": 9.0 + w + a / 7 for w in range(2, 9) for a in range(2, 9)}
    run.write_json("layer_table.json", table)
    for item in evaluations(tuple(table["layers"])) * 50:
        run.append_evaluation(replace(item, index=4 + item.index))
    first = write_report([run.path]).read_bytes()
    assert len(first) < 2_000_000
    assert write_report([run.path]).read_bytes() == first
    page = Page(first.decode())
    assert page.elements.count("svg") >= 24 + 4
    assert "15 more layers" in page.texts


def test_float_islands_are_listed_with_their_reason_and_share(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    island = ListedIsland(
        name="silu", operators=("silu", "mul"), reason="no <integer> form", us=2.5, share=0.25
    )
    unknown = replace(island, name="tanh", us=None, share=None)
    run.write_json(files.ISLANDS, [to_plain(island), to_plain(unknown)])
    page = Page(write_report([run.path]).read_text())
    assert "Float islands" in page.headings
    assert ["silu", "silu, mul", "2.50", "25.0 %", "no <integer> form"] in page.rows
    assert ["tanh", "silu, mul", "-", "-", "no <integer> form"] in page.rows


def test_a_layer_in_float_is_called_so_and_counts_as_32_in_a_mean(tmp_path: Path) -> None:
    page = write_report([make_run(tmp_path, last_weights=FLOAT_BITS).path]).read_text()
    assert "float as 32" in page
    assert page.count("weights of a layer in float count as 32") == 3  # bits, results, evaluations
    assert "<td>18.0/6.0</td>" in page
    assert '<td class="b32">float</td>' in page
    assert '<th scope="col">float/8</th>' in page
    assert "32/8" not in page
    assert "count as 32" not in write_report([make_run(tmp_path / "other").path]).read_text()


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    text = write_report([make_run(tmp_path).path]).read_text()
    page = Page(text)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "script" not in page.elements
    sources = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert all(value.startswith(("#", "data:")) for value in sources)


def test_numbers_are_those_of_results_json(tmp_path: Path) -> None:
    run = make_run(tmp_path).path
    page = Page(write_report([run]).read_text())
    of_results = [
        row for row in page.rows if len(row) == 10 and row[-1] in ("source", "simulated", "-")
    ]
    rows = {row[0]: row for row in of_results}
    expected = json.loads((run / "results.json").read_text())["rows"]
    assert set(rows) == {"", *(row["name"] for row in expected)}
    for row in expected:
        shown = rows[row["name"]]
        accuracy, _, error = shown[1].partition(" ± ")
        assert float(accuracy) == pytest.approx(100 * row["score"], abs=0.005)
        assert float(error) == pytest.approx(100 * row["score_se"], abs=0.005)
        assert int(re.sub(r"\s", "", shown[6])) == row["model_bytes"]
        if row["latency_ms"] is None:
            assert shown[2:6] == ["-", "-", "-", "-"]
            continue
        paired = row["beside_reference"]
        assert shown[2] == f"{100 * paired['score']:+.2f} ± {100 * paired['score_se']:.2f}"
        assert shown[3] == row["kept"]
        assert float(shown[4]) == pytest.approx(row["latency_ms"], abs=5e-5)
        assert float(shown[5]) == pytest.approx(row["latency_iqr_ms"], abs=5e-5)
        assert shown[8] == ("yes" if row["inside_budget"] else "no")
        assert shown[9] == row["source"]


def test_a_simulated_run_says_so_first(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    text = write_report([run.path]).read_text()
    assert text.index("are simulated, not measured") < text.index("Accuracy against latency")
    for name in ("evaluations.jsonl", "layer_table.json"):
        file = run.path / name
        file.write_text(file.read_text().replace('"simulated"', '"measured"'))
    assert "are simulated, not measured" not in write_report([run.path]).read_text()


def test_what_retraining_kept_and_where_the_search_split_came_from_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    failed = evaluations(("first", "second"))[3]
    for index, kept in enumerate(("trained", "start", "trained"), start=4):
        retrained = Retrained(kept=kept, start_loss=0.5, trained_loss=0.4)  # type: ignore[arg-type]
        run.append_evaluation(replace(failed, index=index, retraining=retrained))
    results = json.loads((run.path / files.RESULTS).read_text())
    run.write_json(files.RESULTS, {**results, "search_origin": "held out <by> us"})
    page = Page(write_report([run.path]).read_text())
    text = " ".join("".join(page.texts).split())
    assert "The retraining of 2 evaluations made them better" in text
    assert "was kept; 1 are as they were before their first step." in text
    assert "Search split: held out <by> us." in text
    by_number = {row[0]: row for row in page.rows if len(row) == 9 and "asked by" not in row}
    assert [by_number[str(number)][5] for number in range(4, 8)] == [
        "-",
        "trained",
        "start",
        "trained",
    ]


def test_a_run_of_before_tells_neither(tmp_path: Path) -> None:
    text = write_report([make_run(tmp_path).path]).read_text()
    assert "The retraining of" not in text
    assert "Search split:" not in text


def test_the_reason_of_an_unstable_timing_and_of_a_failure_is_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    file = run.path / "evaluations.jsonl"
    first, *others = file.read_text().splitlines(keepends=True)
    document = json.loads(first)
    document["measurement"]["values_ms"] = [0.1, 0.1, 0.2, 0.3, 0.4]
    file.write_text(json.dumps(document) + "\n" + "".join(others))
    text = "".join(Page(write_report([run.path]).read_text()).texts)
    assert "unstable: IQR is 100% of the median" in text
    assert "failed: did not build" in text
    assert "2 of 3 timings are stable; 1 failed." in text


def test_names_and_settings_cannot_become_markup(tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>'
    run = make_run(tmp_path, layers=(hostile, "<b>&amp;"))
    run.write_text("config.yaml", f"method: '{hostile}'\ntask: {{name: '<img src=x>'}}")
    run.write_text("command.txt", f"python -m experiments.run --config '{hostile}'")
    page = Page(write_report([run.path]).read_text())
    assert not {"script", "img"} & set(page.elements)
    assert hostile in page.texts
    assert "<b>&amp;" in page.texts


def test_an_unfinished_run_has_a_page_that_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run.path / "results.json").unlink()
    with (run.path / "evaluations.jsonl").open("a") as file:
        file.write('{"index": 4, "accur')  # killed while it was written
    page = Page(write_report([run.path]).read_text())
    text = "".join(page.texts)
    assert tuple(page.headings) == SECTIONS
    assert "this run has no results.json" in text
    assert "Budget: 0.0900 ms, as asked." in text
    assert f"the {len(evaluations(('a', 'b')))} evaluations it has finished" in text


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for file in run.path.rglob("*"):
        if file.is_file():
            file.unlink()
    begin(run)
    page = Page(write_report([run.path]).read_text())
    assert tuple(page.headings) == SECTIONS
    assert "Nothing has been measured yet." in page.texts


def test_several_runs_share_a_plot_and_keep_their_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(tmp_path / name).path for name in ("one", "two")]
    monkeypatch.chdir(tmp_path)
    assert main([str(run) for run in runs]) == DONE
    page = Page((tmp_path / "report.html").read_text())
    assert page.headings[:2] == ["Fronts", "Best of each run"]
    assert page.headings[2:] == [*SECTIONS, *SECTIONS]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("missing", "expected the folder of a run, found no folder"),
        ("empty", "is not the folder of a run: it has no config.yaml"),
        ("results.json", "a file of the run is damaged"),
        ("evaluations.jsonl", "a file of the run is damaged"),
        ("budget.json", "a file of the run is damaged"),
        ("layer_table.json", "a file of the run is damaged"),
        ("islands.json", "a file of the run is damaged"),
        ("config.yaml", "a file of the run is damaged"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str, sentence: str
) -> None:
    run = make_run(tmp_path / "runs").path
    if damage == "missing":
        run = tmp_path / "nothing"
    elif damage == "empty":
        run = tmp_path
    else:
        (run / damage).write_text('{"a": [}\n')
    assert main([str(run)]) == USER_MISTAKE
    error = capsys.readouterr().err
    assert sentence in error
    assert str(run) in error
    assert "Traceback" not in error


def test_a_page_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path).path
    assert main([str(run), "--output", str(tmp_path / "no" / "page.html")]) == USER_MISTAKE
    assert "cannot write" in capsys.readouterr().err


def test_markup_is_escaped_once(tmp_path: Path) -> None:
    name = 'a < b & "c"'
    text = write_report([make_run(tmp_path, layers=(name, "second")).path]).read_text()
    page = Page(text)
    assert ">a &lt; b &amp; &#34;c&#34;</th>" in text
    assert name in page.texts
    assert ("svg", "aria-label", f"Microseconds of {name}") in page.attributes
    assert not re.search("&amp;(lt|amp|quot|#34);", text)


def test_uniform_bits_forgive_only_the_input(tmp_path: Path) -> None:
    def of(*pairs: tuple[int, int]) -> Allocation:
        names = ("a", "b", "c")
        bits = [LayerBits(weight_bits=w, activation_bits=a) for w, a in pairs]
        return Allocation.of(dict(zip(names, bits, strict=True)))

    assert uniform_bits(of((4, 8), (4, 4), (4, 4))) == 4
    assert uniform_bits(of((8, 8), (8, 8), (8, 8))) == 8
    assert uniform_bits(of((4, 4), (4, 8), (4, 4))) is None
    assert uniform_bits(of((4, 6), (4, 6), (4, 6))) is None
    assert uniform_bits(of((4, 8), (2, 4), (4, 4))) is None


def test_a_report_needs_neither_torch_nor_tvm() -> None:
    """Each would take longer to load than the page to write."""
    script = "import sys, experiments.report.command; print({'torch', 'tvm'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    assert done.stdout.strip() == "set()"
