"""Recurrent, temporal and attentive networks, from the run to the bundle, on real kernels."""

import json
from pathlib import Path

import pytest

from experiments import run as run_module
from experiments.terminal.exit_codes import DONE
from quant.allocation import Allocation
from tests.experiments.export import own_kinds
from tests.experiments.export.all_the_way import goes_all_the_way
from tests.experiments.export.test_export import FLAGS

KINDS = {
    "Gru": ("sequences", ("gru",), 0),
    "Tcn": ("sequences", (), 0),
    "Vit": ("images", ("softmax", "layer_norm"), 4),
}
"""By the network's class: its data, what must be in its float islands, products of tensors."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", list(KINDS))
def test_goes_all_the_way(
    kind: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, operators, products = KINDS[kind]
    flags = [
        *(*FLAGS, "--output", str(tmp_path), "--task.name", "own", "--task.epochs", "2"),
        *("--task.model", f"{own_kinds.__name__}:{kind}"),
        *("--task.data", f"{own_kinds.__name__}:{data}"),
    ]
    assert run_module.main(flags) == DONE
    said = capsys.readouterr().out
    assert ("float island" in said) == bool(operators)
    assert all(name in said for name in operators)
    run = tmp_path / "latest"
    goes_all_the_way(run, tmp_path)
    chosen = Allocation.from_dict(json.loads((run / "best_allocation.json").read_text()))
    assert len(chosen.products) == products
    layers = json.loads((run / "layer_table.json").read_text())["layers"]
    assert all(time_us > 0 for name in chosen.products for time_us in layers[name].values())
    if operators:
        assert all(island["us"] > 0 for island in json.loads((run / "islands.json").read_text()))
