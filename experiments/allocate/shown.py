"""Shown: answers on a terminal, whoever gave them."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from experiments.allocate.answer import Answer
from experiments.terminal.tables import print_whole
from quant.allocation import Allocation
from quant.layers import width_name

_POINTS = 100.0


def show(answers: Sequence[Answer]) -> None:
    """Print answers of one network as a table; of a single one the bits of each layer, too."""
    print_whole(_table(answers))
    first = answers[0]
    if len(answers) == 1:
        print_whole(_layers(first.allocation))
    print(_source(first))


def _table(answers: Sequence[Answer]) -> Table:
    metric, known = answers[0].metric, answers[0].score is not None
    score = f"predicted {metric.heading}" if known else "predicted loss, points"
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("budget")
    for heading in (score, "predicted ms", "bytes"):
        table.add_column(heading, justify="right")
    if several := len(answers) > 1:
        table.add_column("bits")
    for one in answers:
        bits = (" ".join(str(bits) for _, bits in one.allocation.items),) if several else ()
        table.add_row(
            str(one.budget),
            f"{_POINTS * one.lost:.2f}" if one.score is None else metric.number(one.score),
            f"{one.latency_ms:.4g}",
            str(one.model_bytes),
            *bits,
        )
    return table


def _layers(allocation: Allocation) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer")
    for heading in ("weights", "activations"):
        table.add_column(heading, justify="right")
    for name, bits in allocation.items:
        table.add_row(name, width_name(bits.weight_bits), str(bits.activation_bits))
    return table


def _source(answer: Answer) -> str:
    """Say by what all of it is predicted, and how sure that is."""
    distance = answer.distance
    if distance is None:
        return (
            f"predicted by what {answer.evaluations} evaluations taught ({answer.prior}); "
            "nothing was retrained or measured for it"
        )
    outside = f"; beyond all of them in {', '.join(distance.outside)}" if distance.outside else ""
    return (
        f"predicted by the policy {answer.policy_version} for a network that nobody searched; "
        f"times are {answer.times}\n"
        f"it is {distance.deviations:.1f} standard deviations from the networks that the policy "
        f"knows, in {distance.furthest}{outside}"
    )
