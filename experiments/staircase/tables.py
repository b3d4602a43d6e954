"""Tables of a staircase: every layer at every width and at every pair."""

from collections.abc import Iterator

from rich import box
from rich.table import Table

from experiments.staircase.layer_steps import LayerSteps
from experiments.staircase.staircase import Staircase


def draw_widths(staircase: Staircase) -> Table:
    """Draw times at equal widths, the ratio to 8 bits, the speed and the kernel family."""
    table = Table(
        box=box.SIMPLE,
        title=f"{staircase.what} ({staircase.label}), batch {staircase.protocol.batch}, "
        "equal weight and activation bits",
        title_justify="left",
    )
    table.add_column("layer", no_wrap=True)
    table.add_column("", no_wrap=True)
    for bits in staircase.widths:
        table.add_column(f"{bits} bits", justify="right", no_wrap=True)
    for layer in staircase.layers:
        for row in _layer_rows(layer, staircase.widths):
            table.add_row(*row)
        table.add_section()
    widths = staircase.summary.widths
    table.add_row("all layers", "ratio", *(f"{width.speedup:.2f}x" for width in widths))
    table.add_row("", "spread", *(f"{width.spread:.1%}" for width in widths))
    return table


def draw_pairs(staircase: Staircase) -> Table:
    """Draw the times of every pair of weight and activation bits."""
    table = Table(
        box=box.SIMPLE,
        title=f"{staircase.what} ({staircase.label}), microseconds; columns are activation bits",
        title_justify="left",
    )
    table.add_column("layer", no_wrap=True)
    table.add_column("weights", no_wrap=True, justify="right")
    for bits in staircase.widths:
        table.add_column(f"{bits} bits", justify="right", no_wrap=True)
    for layer in staircase.layers:
        for index, weight in enumerate(staircase.widths):
            cells = [layer.times_us.get((weight, activation)) for activation in staircase.widths]
            table.add_row(
                "" if index else layer.name,
                f"{weight} bits",
                *("" if cell is None else f"{cell:.4g}" for cell in cells),
            )
        table.add_section()
    return table


def _layer_rows(layer: LayerSteps, widths: tuple[int, ...]) -> Iterator[list[str]]:
    name = layer.name + ("*" if layer.reads_input else "")
    yield [name, "µs", *(f"{layer.us(bits):.4g}" for bits in widths)]
    ratios = (f"{layer.speedup(bits):.2f}x" if layer.timed else "-" for bits in widths)
    yield ["  " + str(layer.shape), "ratio", *ratios]
    speeds = (f"{layer.gmac_per_s(bits):.3g}" if layer.timed else "-" for bits in widths)
    yield [f"  {layer.shape.macs / 1e6:.3g} MMAC", "GMAC/s", *speeds]
    families = (layer.families.get(layer.pair(bits), "unknown") for bits in widths)
    yield ["", "kernel", *families]
