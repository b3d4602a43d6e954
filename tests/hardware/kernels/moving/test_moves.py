"""Kernels that move codes, and floats that lie as their codes do."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.graph.borders import with_borders
from quant.deploy_graph import Concat, Dequantize, Embedding, Move, QuantizeInput
from quant.strides import strides_of
from tests.hardware.graphs import GraphBuilder
from tests.hardware.kernels.single_op import Bench
from tests.hardware.kernels.test_pointwise import (
    _codes,
    _scale,
    batches,
    channel_counts,
    code_dtypes,
    few,
    seeds,
    sizes,
)

MOVES: dict[str, Any] = {
    "turned": lambda x: x.transpose(2, 1, 0),
    "heads side by side": lambda x: x.reshape(2, -1, x.shape[2]).transpose(1, 0, 2),
    "every second row": lambda x: x[::2],
    "the last place": lambda x: x[-1:, -1:],
    "channels from the third on": lambda x: x[..., 2:],
    "mirrored": lambda x: x[:, ::-1],
    "one row again and again": lambda x: np.repeat(x[:1], 3, 0),
    "one value": lambda x: x[:1, :1, :1],
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_moving(name: str, dtype: str, auto: Bench) -> None:
    shape = (3, 4, 6, 37)
    moved = MOVES[name](np.arange(4 * 6 * 37).reshape(shape[1:]))
    strides = strides_of(moved.reshape(-1))
    assert strides is not None
    assert np.array_equal(strides.places(), moved.reshape(-1))
    op = Move(input="x", output="y", strides=strides, shape=moved.shape)
    auto.agrees(op, _codes(np.random.default_rng(0), shape, dtype), out_dtype=dtype)


def test_places_that_no_loops_count_through_are_told() -> None:
    assert strides_of(np.roll(np.arange(6), 1)) is None
    assert strides_of(np.array([0, 1, 2, 0, 1, 3])) is None
    assert strides_of(np.array([5])) is not None


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_tokens_pick_rows_and_those_beyond_the_table_its_ends(dtype: Any, auto: Bench) -> None:
    table = _codes(np.random.default_rng(0), (50, 37), dtype)
    tokens = np.array([[0, 49, 7, 7, 3.0], [-1, 50, 1e9, 0.75, 48]], np.float32)
    op = Embedding(input="x", output="y", table=table, shape=(1, 5, 37))
    auto.agrees(op, tokens, out_dtype=dtype)
    found = auto.run(op, [tokens], (2, 1, 5, 37), dtype)
    assert np.array_equal(found[1, 0, :4], table[[0, 49, 49, 0]])


@few
@given(
    shape=st.tuples(batches, sizes, sizes, channel_counts),
    axis=st.sampled_from([0, 1]),
    sizes_there=st.lists(sizes, min_size=2, max_size=3),
    dtype=code_dtypes,
    seed=seeds,
)
def test_concatenating_rows_and_columns(
    shape: tuple[int, ...], axis: int, sizes_there: list[int], dtype: str, seed: int, auto: Bench
) -> None:
    rng, parts = np.random.default_rng(seed), []
    for size in sizes_there:
        own = list(shape)
        own[axis + 1] = size
        parts.append(_codes(rng, tuple(own), dtype))
    op = Concat(inputs=tuple(f"x{i}" for i in range(len(parts))), output="y", axis=axis)
    auto.agrees(op, *parts, out_dtype=dtype)


@few
@given(shape=st.tuples(batches, sizes, sizes, channel_counts), dtype=code_dtypes, seed=seeds)
def test_floats_that_lie_as_their_codes_do(
    shape: tuple[int, ...], dtype: Any, seed: int, auto: Bench
) -> None:
    rng = np.random.default_rng(seed)
    zero_point = 0 if dtype == "int16" else int(rng.integers(0, 256))
    scale = _scale(rng, 0.001, 0.1)
    out = Dequantize(input="x", output="y", multiplier=scale, zero_point=zero_point, last=True)
    auto.agrees(out, _codes(rng, shape, dtype), out_dtype="float32")
    limits = np.iinfo(np.dtype(dtype))
    back = QuantizeInput(
        input="x",
        output="y",
        multiplier=_scale(rng, 10, 90),
        zero_point=zero_point,
        clip_min=int(limits.min),
        clip_max=int(limits.max),
        last=True,
    )
    auto.agrees(back, rng.standard_normal(shape).astype(np.float32), out_dtype=dtype)


def test_what_is_read_in_one_piece_has_no_border() -> None:
    """A flattened image that a padded convolution reads as well was once read with its border."""
    build = GraphBuilder()
    q = build.image(4, 6, 6)
    same = build.conv(q, 4, 3)
    assert with_borders(build.graph(same)).tensors[q].border == (1, 1)
    build.flatten(q)
    assert with_borders(build.graph(same)).tensors[q].border == (0, 0)
