"""Layer times chart: microseconds of one layer against its bits, from the layer table."""

from collections.abc import Mapping

from experiments.charts.chart import Axis, Chart, Mark, Series
from quant.allocation import LayerBits, ProductBits
from quant.layers import MAX_BITS, width_name

_SHOWN_LINES = 3


def layer_times_chart(
    name: str, times_us: Mapping[tuple[int, int], float], chosen: LayerBits | None
) -> Chart:
    """Chart a line for some activation bits over the weight bits, and the chosen pair as a star.

    Float, where the layer may be left so, stands right of the widest integers.
    """
    sides = ("weight", "activations")
    if isinstance(chosen, ProductBits):
        sides = ("right", "left tensor")
    series = []
    for activation in _shown_bits(times_us):
        points = sorted((w, us) for (w, a), us in times_us.items() if a == activation)
        series.append(
            Series(
                marks=tuple(
                    Mark(x=_place(w), y=us, tip=f"{width_name(w)}/{activation} bits\n{us:.2f} µs")
                    for w, us in points
                ),
                colour="orange" if activation <= 3 else "green" if activation <= 6 else "blue",
                name=f"{activation}-bit {sides[1]}",
                size=5.5,
                line="straight",
            )
        )
    if chosen is not None and (pair := (chosen.weight_bits, chosen.activation_bits)) in times_us:
        tip = f"chosen: {width_name(pair[0])}/{pair[1]} bits, {times_us[pair]:.2f} µs"
        mark = Mark(x=_place(pair[0]), y=times_us[pair], tip=tip)
        series.append(Series(marks=(mark,), colour="star", name="chosen", marker="*", size=14.0))
    weights = sorted({weight for weight, _ in times_us})
    return Chart(
        title=f"Microseconds of {name}",
        x=Axis(
            label=f"{sides[0]} bits",
            ticks=tuple(_place(weight) for weight in weights),
            names=tuple(map(width_name, weights)),
        ),
        y=Axis(label="µs", from_zero=True),
        series=tuple(series),
        height=200.0,
    )


def _place(weight_bits: int) -> float:
    return float(min(weight_bits, MAX_BITS + 1))


def _shown_bits(times_us: Mapping[tuple[int, int], float]) -> list[int]:
    """Return the lowest, a middle and the highest activation bits: more would hide each other."""
    ordered = sorted({activation for _, activation in times_us})
    if len(ordered) <= _SHOWN_LINES:
        return ordered
    return [ordered[0], ordered[len(ordered) // 2], ordered[-1]]
