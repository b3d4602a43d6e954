import pytest

from hardware.storage import plan_storage, read_names, tensor_bytes
from quant.deploy_graph import Flatten
from tests.hardware.graphs import digits_like, zoo


@pytest.mark.parametrize("graph", [zoo(), digits_like()], ids=["zoo", "digits"])
def test_no_two_needed_tensors_share_a_storage(graph) -> None:
    plan = plan_storage(graph, 3)
    owner = {plan.slots[graph.input]: graph.input}
    for op in graph.ops:
        slot = plan.slots[op.output]
        for name in read_names(op):
            assert owner[plan.slots[name]] == name, f"{name} was overwritten before {op}"
            if not isinstance(op, Flatten):
                assert plan.slots[name] != slot, "a kernel would write over what it reads"
        owner[slot] = op.output
    assert owner[plan.slots[graph.input]] == graph.input
    assert owner[plan.slots[graph.output]] == graph.output


def test_every_storage_is_large_enough_and_reused() -> None:
    graph = zoo()
    plan = plan_storage(graph, 3)
    for name, slot in plan.slots.items():
        assert plan.sizes_bytes[slot] >= tensor_bytes(graph.tensors[name], 3)
    assert len(plan.sizes_bytes) < len(graph.tensors) / 2
