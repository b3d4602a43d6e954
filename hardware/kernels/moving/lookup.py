"""The kernel of functions of one value: each code picks an entry of a table.

Codes are bytes, so the table has 256 entries. Where no tensor has a border, all values are one row:

    for image, row, value:
        output[value] = table[source[value]]
"""

from collections.abc import Sequence
from typing import Any

from tvm.tirx.script import builder as T

from hardware.kernels.emitting.emit import Parameter, function
from hardware.kernels.shapes.layout import Layout
from quant.deploy_graph import TABLE_SIZE


def lookup_kernel(
    symbol: str, layouts: tuple[Layout, Layout], shapes: Sequence[tuple[int, ...]], dtype: str
) -> Any:
    """Return the kernel from narrow codes to entries: `(input, table [256], output)`.

    Args:
        symbol: Name of the compiled function.
        layouts: Of the input and the output.
        shapes: Of both as they are stored, border included.
        dtype: Type of the table and the output.
    """
    into, out = layouts[0].join_rows(layouts[1])

    def body(source: Any, table: Any, output: Any) -> None:
        with T.grid(into.batch, into.height, into.row_values) as (image, row, value):
            code = T.Cast("int32", source[into.row(image, row) + value])
            T.buffer_store(output, table[code], [out.row(image, row) + value])

    parameters = (
        Parameter(name="input", shape=shapes[0], dtype="uint8"),
        Parameter(name="table", shape=(TABLE_SIZE,), dtype=dtype),
        Parameter(name="output", shape=shapes[1], dtype=dtype),
    )
    return function(symbol, parameters, body)
