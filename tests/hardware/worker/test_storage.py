import pytest

from hardware.graph.program_steps import steps_of
from hardware.worker.program.storage import plan_storage, tensor_bytes
from quant.deploy_graph import DeployGraph, Reshape
from tests.hardware.graphs import digits_like, zoo


@pytest.mark.parametrize("graph", [zoo(), digits_like()], ids=["zoo", "digits"])
def test_no_two_needed_tensors_share_a_storage(graph: DeployGraph) -> None:
    steps = steps_of(graph)
    plan = plan_storage(graph, steps, 3)
    owner = {plan.slots[graph.input]: graph.input}
    for step in steps:
        slots = [plan.slots[name] for name in step.writes]
        assert len(set(slots)) == len(slots)
        for name in step.reads:
            assert owner[plan.slots[name]] == name, f"{name} was overwritten before {step}"
            if not isinstance(step.op, Reshape):
                assert plan.slots[name] not in slots, "a kernel would write over what it reads"
        owner.update(zip(slots, step.writes, strict=True))
    assert owner[plan.slots[graph.input]] == graph.input
    assert owner[plan.slots[graph.output]] == graph.output


def test_every_storage_is_large_enough_and_reused() -> None:
    graph = zoo()
    plan = plan_storage(graph, steps_of(graph), 3)
    for name, slot in plan.slots.items():
        assert plan.sizes_bytes[slot] >= tensor_bytes(graph.tensors[name], 3)
    assert len(plan.sizes_bytes) < len(graph.tensors) / 2
