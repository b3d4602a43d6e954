"""Which families and schedules the layers and products of a network need at their bit pairs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

from hardware.graph.program_steps import steps_of
from hardware.graph.random_codes import at_widths
from hardware.graph.tensor_widths import BitPair
from hardware.kernels.families.family import Family
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.planning.family_choices import family_choices
from hardware.kernels.planning.layers import plan_layer
from hardware.kernels.planning.products import plan_product
from hardware.kernels.schedule.layer_plan import TiledPlan
from hardware.kernels.schedule.schedule import candidates
from hardware.wire.tile_task import TileTask
from hardware.worker.tiles.choices import TileChoices
from quant.deploy_graph import Conv2d, Linear, MatMul


def tile_tasks(
    context: PlanContext, pairs: Mapping[str, Sequence[BitPair]], choices: TileChoices
) -> list[TileTask]:
    """Return one task for each choice that a network's layers need at their bit pairs.

    A layer's family is chosen before its schedule, which is that family's; products of two tensors
    have one family for their bits.

    Args:
        context: Of the network.
        pairs: `{layer: bit pairs}`.
        choices: Tells which are known.
    """
    shared: dict[str, list[tuple[Family, TileTask]]] = {}
    for op, plan in layers_at(context, pairs):
        geometry, families = plan.geometry, families_of(op, plan, context)
        chosen = choices.find_family(geometry, families)
        if chosen is None:
            key, known = choices.families_key(geometry, families), False
            names = [family.name for family in families]
        else:
            key, known = choices.key(geometry, chosen), choices.find(geometry, chosen) is not None
            names = [chosen.name]
            if len(candidates(geometry, chosen)) < 2:
                continue
        task = TileTask(
            layer=op.layer,
            pair=op.pair,
            what=f"{op.layer}, {', '.join(names)}",
            known=known,
            weight=_multiplications(op, context),
        )
        shared.setdefault(key, []).append((chosen or families[0], task))
    return [_stand_in(group) for group in shared.values()]


def families_of(
    op: Conv2d | Linear | MatMul, plan: TiledPlan, context: PlanContext
) -> tuple[Family, ...]:
    """Return the families that are exact for a layer, the rule's choice first."""
    if isinstance(op, MatMul):
        return (plan.family,)
    target = context.target
    return family_choices(target.family, *op.pair, plan.geometry, target.transform)


def tiles_digest(context: PlanContext, pairs: Mapping[str, Sequence[BitPair]]) -> str:
    """Return a digest of the families and schedules of a network's layers at their bit pairs."""
    digest = hashlib.sha256()
    for op, plan in layers_at(context, pairs):
        first, second = op.pair
        line = f"{op.layer} {first} {second} {plan.family.name} {plan.schedule}"
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def layers_at(
    context: PlanContext, pairs: Mapping[str, Sequence[BitPair]]
) -> Iterator[tuple[Conv2d | Linear | MatMul, TiledPlan]]:
    """Yield each layer and product that has a schedule, at each of its bit pairs.

    Weights stay as they are.
    """
    for step in steps_of(context.graph):
        if isinstance(step.op, MatMul):
            for pair in pairs.get(step.op.layer, ()):
                product = at_widths(step.op, pair)
                yield product, plan_product(product, context)
        if not isinstance(step.op, Conv2d | Linear):
            continue
        for weight_bits, activation_bits in pairs.get(step.op.layer, ()):
            op = replace(step.op, weight_bits=weight_bits, activation_bits=activation_bits)
            plan = plan_layer(replace(step, op=op), context)
            if isinstance(plan, TiledPlan):
                yield op, plan


def _multiplications(op: Conv2d | Linear | MatMul, context: PlanContext) -> float:
    """Return the multiply-accumulates of one execution."""
    if isinstance(op, MatMul):
        return float(context.batch * op.matrices.macs)
    return float(prod(context.shape(op.output)[:-1]) * op.weight.size)


def _stand_in(group: Sequence[tuple[Family, TileTask]]) -> TileTask:
    """Return the task that is searched for all of a group.

    The shallowest family decides, as a choice carries over to deeper ones better than back.
    """
    _, shallowest = min(group, key=lambda item: item[0].depth)
    layers = {task.layer: task.weight for _, task in group}
    return replace(shallowest, weight=sum(layers.values()))
