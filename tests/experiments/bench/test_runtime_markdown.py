"""README's and the site's table of runtimes is what the committed file says, and nothing else."""

import json
from pathlib import Path

import pytest

from experiments.bench.command import main
from experiments.bench.runtime.markdown import runtime_markdown

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docs" / "results" / "runtime.json"


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_pages_show_the_committed_figures(page: str) -> None:
    table = runtime_markdown(json.loads(FILE.read_text(encoding="utf-8")))
    assert table in (ROOT / page).read_text(encoding="utf-8")


def test_the_committed_file_has_every_row_that_was_promised() -> None:
    document = json.loads(FILE.read_text(encoding="utf-8"))
    assert {"machine", "command", "rows"} <= set(document)
    networks = {"resnet18", "mobilenetv2", "resnet20", "resnet8", "vit-tiny", "convnext-atto"}
    assert {row["network"] for row in document["rows"]} == networks
    for network in networks:
        found = {
            (row["engine"], row["weight_bits"], row["activation_bits"])
            for row in document["rows"]
            if row["network"] == network
        }
        ours: set[tuple[str, int | str, int | str]] = {
            ("bitalloc", 8, 8),
            ("bitalloc", 7, 8),
            ("bitalloc", 6, 6),
            ("bitalloc", 4, 4),
        }
        ours |= {("bitalloc", 2, 2), ("bitalloc", "mixed", "mixed")}
        peers = {(name, bits, bits) for name in ("onnxruntime", "openvino") for bits in (8, 32)}
        assert ours | peers | {("torch", 32, 32), ("tvm", 32, 32)} <= found


def test_an_unstable_median_is_marked() -> None:
    row = {"network": "n", "engine": "tvm", "weight_bits": 32, "activation_bits": 32}
    row |= {"latency_ms_median": 1.23456, "latency_ms_iqr": 0.0456, "unstable": True}
    assert runtime_markdown({"rows": [row]}).endswith("| TVM fp32 | 1.23\\* (0.046) |\n")


def test_a_file_that_is_none_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["markdown", str(tmp_path / "none.json")]) == 2
    assert "expected a file of bench runtime" in capsys.readouterr().err
