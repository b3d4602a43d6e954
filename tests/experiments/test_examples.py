"""The examples that users start from: short, and found by their names."""

from pathlib import Path

from env.tasks import TaskConfig, load_task
from quant.network import prepare

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_examples_stay_under_forty_lines() -> None:
    files = list(EXAMPLES.glob("*.py"))
    assert files
    for file in files:
        assert len(file.read_text().splitlines()) < 40


def test_an_own_network_is_captured_with_its_lookup() -> None:
    task = load_task(
        TaskConfig(
            name="own", model="examples.own_network:network", data="examples.own_network:data"
        )
    )
    assert [len(split) for split in (task.train, task.search, task.test)] == [1360, 240, 400]
    network = prepare(task.make_module().eval(), task.example)
    assert [layer.name for layer in network.layers] == ["0", "3", "6", "10"]
    assert [lookup.operators for lookup in network.graph.lookups] == [("silu",)]
    assert not network.graph.islands
