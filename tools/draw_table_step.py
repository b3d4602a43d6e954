"""The picture of docs/kernels.md: one step of the table kernel, drawn from the family itself.

    python -m tools.draw_table_step > docs/table-step.svg

Codes, weights and their sums are those of the docstring of `hardware/kernels/families/table.py`.
"""

from collections.abc import Iterable, Sequence
from html import escape

from hardware.kernels.families.avx2_table import Avx2Table
from hardware.kernels.families.table import ENTRIES

CODES = (3, 1)
WEIGHTS = ((1, -1), (0, 1), (-1, -1), (1, 1))
"""The two weights of each of four output channels; a step of AVX2 has 32."""

_STYLE = """
  svg { background: #ffffff; font: 15px sans-serif; fill: #1b1f24 }
  rect { fill: #f1f4f8; stroke: #7a8591 }
  .found { fill: #ffdf9e }
  .number { text-anchor: middle; font-family: monospace }
  .small { font-size: 12px; fill: #57606a; text-anchor: middle }
"""
_CELL, _LEFT, _WIDTH, _HEIGHT = 42, 24, 720, 430


def family() -> Avx2Table:
    """Return the family of 2-bit weights and 2-bit codes."""
    found = Avx2Table.choose(weight_bits=2, activation_bits=2, steps=100)
    assert found is not None
    return found


def entry(pair: tuple[int, int]) -> int:
    """Return the place of two ternary weights in every table, 0 to 8."""
    return 3 * (pair[0] + 1) + pair[1] + 1


def draw() -> str:
    """Return the picture as SVG."""
    table_family = family()
    low, high = table_family.pair_factors
    number = (low * CODES[0] + high * CODES[1]) // table_family.pair_scale
    lookup = table_family.lookup_table()
    assert lookup is not None
    table = [int(value) for value in lookup[number * ENTRIES :][:ENTRIES]]
    entries = [entry(pair) for pair in WEIGHTS]
    offset = table_family.step_bias()
    found = [table[place] for place in entries]
    sums = [value - offset for value in found]
    parts = [
        _text(24, 30, "1. Two 2-bit codes of one pixel are the number of a table"),
        *_row(44, "codes", [f"q0 = {CODES[0]}", f"q1 = {CODES[1]}"], width=80),
        _text(206, 68, f"{CODES[0]} + 4 · {CODES[1]} = {number}"),
        _text(
            24, 126, f"2. Table {number}: {CODES[0]} w0 + {CODES[1]} w1 + {offset} for each pair"
        ),
        *_row(152, "table", table, marked=entries),
        *(
            _text(_LEFT + _CELL * (place + 0.5), 146, str(place), "small")
            for place in range(len(table))
        ),
        _text(
            24, 234, "3. Two ternary weights of a channel are a place in it; all channels at once"
        ),
        *_row(248, "weights", [f"{a:+d}, {b:+d}".replace("+0", "0") for a, b in WEIGHTS], width=84),
        *_row(286, "entries", [f"place {place}" for place in entries], width=84),
        *_row(324, "found", found, width=84, marked=range(len(found))),
        _text(380, 348, "one pshufb for 32 channels"),
        *_row(362, "sums", sums, width=84),
        _text(
            380, 386, f"{CODES[0]} w0 + {CODES[1]} w1: {offset} for each step is taken off the bias"
        ),
        _text(24, 422, "Drawn from the table that the kernel itself reads."),
    ]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">\n'
        "<title>One step of the table kernel: two codes of 2 bits, two ternary weights</title>\n"
        f"<style>{_STYLE}</style>\n{body}\n</svg>\n"
    )


def _row(
    top: float,
    name: str,
    values: Sequence[object],
    *,
    width: float = _CELL,
    marked: Iterable[int] = (),
) -> list[str]:
    lit = set(marked)
    cells = [f'<g id="{name}">']
    for place, value in enumerate(values):
        left = _LEFT + width * place
        found = ' class="found"' if place in lit else ""
        cells.append(f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="36"{found}/>')
        cells.append(_text(left + width / 2, top + 24, str(value), "number"))
    return [*cells, "</g>"]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{of_kind}>{escape(text)}</text>'


if __name__ == "__main__":
    print(draw(), end="")
