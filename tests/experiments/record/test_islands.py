from dataclasses import replace

import torch

from env.testing import formula_table, tied_layers
from experiments.record.islands import list_islands
from quant.allocation import Allocation
from quant.capture.float_island import FloatIsland


def test_each_island_has_its_reason_and_its_share_of_the_time() -> None:
    layers = tied_layers()
    all_8 = Allocation.uniform(layers, 8)
    table = formula_table(layers)
    quarter_us = 250.0 * table.predict_ms(all_8)
    table = replace(table, islands_us={"silu": quarter_us})
    islands = [
        FloatIsland(name=name, operators=(name,), reason="no integer form", module=torch.nn.SiLU())
        for name in ("silu", "tanh")
    ]
    timed, untimed = list_islands(islands, table, all_8)
    assert str(timed) == "float island silu (silu), 25.0 % of the time at 8 bits: no integer form"
    assert replace(timed, operators=("linear", "gelu", "linear")).contents == "linear x 2, gelu"
    assert (untimed.us, untimed.share) == (None, None)
    assert list_islands(islands, table.scale_times(2.0), all_8)[0].us == 2.0 * quarter_us
