"""Products of two computed tensors on the board: each family, random and extreme codes."""

import numpy as np
import pytest

from quant.deploy_graph import Matrices
from tests.emulated_board.arm_bench import ArmBench
from tests.hardware.kernels.single_op import codes_of, product_of

pytestmark = pytest.mark.board

HEADS = Matrices(groups=2, rows=9, depth=20, columns=9, turned=True)
MIXED = Matrices(groups=2, rows=9, depth=9, columns=20, turned=False)


@pytest.mark.parametrize("matrices", [HEADS, MIXED], ids=["turned", "as they are"])
@pytest.mark.parametrize(
    ("bits", "points"),
    [((8, 8), (131, 117)), ((8, 8), (0, 128)), ((8, 7), (9, 64)), ((3, 4), (1, 0))],
)
def test_a_product_of_two_tensors_agrees(
    matrices: Matrices, bits: tuple[int, int], points: tuple[int, int], bench: ArmBench
) -> None:
    op = product_of(matrices, bits, points, wide=matrices.turned)
    left, right = codes_of(op, batch=2)
    dtype = "int16" if matrices.turned else "uint8"
    bench.agrees(op, left, right, out_dtype=dtype)
    bench.agrees(op, np.full_like(left, 2 ** bits[0] - 1), np.zeros_like(right), out_dtype=dtype)
