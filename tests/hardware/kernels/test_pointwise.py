"""Every kernel that is not a layer, over random shapes and whole ranges of codes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant.deploy_graph import (
    WIDE_MAX,
    WIDE_MIN,
    Add,
    AvgPool2d,
    Concat,
    Lookup,
    MaxPool2d,
    Multiply,
    Pad2d,
    QuantizeInput,
    Requantize,
    Reshape,
)
from tests.hardware.kernels.single_op import Bench

few = settings(
    max_examples=8,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
seeds = st.integers(0, 2**32 - 1)
batches = st.sampled_from([1, 3])
sizes = st.integers(1, 9)
channel_counts = st.integers(1, 35)
code_dtypes = st.sampled_from(["uint8", "int16"])


def _codes(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    limits = np.iinfo(np.dtype(dtype))
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def _scale(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.float32(rng.uniform(low, high)))


@few
@given(
    shape=st.one_of(
        st.tuples(batches, st.sampled_from([1, 3, 5]), sizes, sizes),
        st.tuples(batches, st.integers(1, 70)),
    ),
    seed=seeds,
)
def test_quantizing_the_input(shape: tuple[int, ...], seed: int, auto: Bench) -> None:
    rng = np.random.default_rng(seed)
    op = QuantizeInput(
        input="x", output="y", multiplier=_scale(rng, 1, 90), zero_point=int(rng.integers(0, 256))
    )
    x = rng.standard_normal(shape).astype(np.float32) * 3
    x.flat[0] = 1e20  # far beyond what an integer holds
    auto.agrees(op, x, out_dtype="uint8")


@few
@given(shape=st.tuples(batches, sizes, sizes, channel_counts), dtype=code_dtypes, seed=seeds)
def test_requantizing(shape: tuple[int, ...], dtype: str, seed: int, auto: Bench) -> None:
    rng = np.random.default_rng(seed)
    bits = int(rng.integers(2, 9))
    op = Requantize(
        input="x",
        output="y",
        multiplier=_scale(rng, 0.0001, 0.01),
        zero_point=int(rng.integers(0, 2**bits)),
        clip_min=0,
        clip_max=2**bits - 1,
    )
    auto.agrees(op, _codes(rng, shape, dtype), out_dtype="uint8")


def test_every_wide_code_requantizes_as_the_reference_does(auto: Bench) -> None:
    codes = np.arange(WIDE_MIN, WIDE_MAX + 1, dtype=np.int16).reshape(1, -1)
    for multiplier, zero_point in ((0.5, 0), (0.25, 3), (0.0031, 128)):  # halves: ties to even
        op = Requantize(
            input="x",
            output="y",
            multiplier=float(np.float32(multiplier)),
            zero_point=zero_point,
            clip_min=0,
            clip_max=255,
        )
        auto.agrees(op, codes, out_dtype="uint8")
    wide = Requantize(
        input="x", output="y", multiplier=0.5, zero_point=0, clip_min=WIDE_MIN, clip_max=WIDE_MAX
    )
    auto.agrees(wide, codes, out_dtype="int16")


@few
@given(
    shape=st.tuples(batches, sizes, sizes, channel_counts),
    dtypes=st.tuples(code_dtypes, code_dtypes),
    seed=seeds,
)
def test_adding(shape: tuple[int, ...], dtypes: tuple[str, str], seed: int, auto: Bench) -> None:
    rng = np.random.default_rng(seed)
    op = Add(
        inputs=("a", "b"),
        output="y",
        multipliers=(_scale(rng, 0.1, 2), 1.0),
        clip_min=WIDE_MIN,
        clip_max=WIDE_MAX,
    )
    left, right = (_codes(rng, shape, dtype) for dtype in dtypes)
    auto.agrees(op, left, right, out_dtype="int16")


@few
@given(
    shape=st.tuples(batches, sizes, sizes, channel_counts),
    per_channel=st.sampled_from(["", "left", "right"]),
    dtypes=st.tuples(code_dtypes, code_dtypes, code_dtypes),
    seed=seeds,
)
def test_multiplying(
    shape: tuple[int, ...],
    per_channel: str,
    dtypes: tuple[str, str, str],
    seed: int,
    auto: Bench,
) -> None:
    rng = np.random.default_rng(seed)
    shapes = [
        (shape[0], 1, 1, shape[3]) if per_channel == side else shape for side in ("left", "right")
    ]
    left, right = (_codes(rng, s, d) for s, d in zip(shapes, dtypes[:2], strict=True))
    # The largest products there are.
    left[:, 0, 0, 0], right[:, 0, 0, 0] = (np.iinfo(d).min for d in dtypes[:2])
    points = [int(rng.integers(256)) if d == "uint8" else 0 for d in dtypes[:2]]
    limits = np.iinfo(np.dtype(dtypes[2]))
    op = Multiply(
        inputs=("a", "b"),
        output="y",
        input_zero_points=(points[0], points[1]),
        multiplier=_scale(rng, 1e-6, 1e-3),
        zero_point=int(rng.integers(256)) if dtypes[2] == "uint8" else 0,
        clip_min=limits.min,
        clip_max=limits.max,
    )
    auto.agrees(op, left, right, out_dtype=dtypes[2])


@few
@given(
    shape=st.one_of(
        st.tuples(batches, sizes, sizes, channel_counts), st.tuples(batches, st.integers(1, 70))
    ),
    dtype=code_dtypes,
    seed=seeds,
)
def test_looking_up(shape: tuple[int, ...], dtype: str, seed: int, auto: Bench) -> None:
    rng = np.random.default_rng(seed)
    op = Lookup(input="x", output="y", table=_codes(rng, (256,), dtype))
    auto.agrees(op, _codes(rng, shape, "uint8"), out_dtype=dtype)


windows = st.tuples(
    st.tuples(st.integers(2, 3), st.integers(2, 4)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.tuples(st.integers(0, 1), st.integers(0, 1)),
)


@few
@given(
    shape=st.tuples(batches, st.integers(4, 9), st.integers(4, 9), channel_counts),
    window=windows,
    dtype=code_dtypes,
    seed=seeds,
)
def test_maximum_pooling(
    shape: tuple[int, ...], window: Any, dtype: str, seed: int, auto: Bench
) -> None:
    kernel, stride, padding = window
    op = MaxPool2d(input="x", output="y", kernel=kernel, stride=stride, padding=padding)
    auto.agrees(op, _codes(np.random.default_rng(seed), shape, dtype), out_dtype=dtype)


@few
@given(
    shape=st.tuples(batches, st.integers(4, 9), st.integers(4, 9), channel_counts),
    window=windows,
    dtypes=st.tuples(code_dtypes, code_dtypes),
    seed=seeds,
)
def test_average_pooling(
    shape: tuple[int, ...], window: Any, dtypes: tuple[str, str], seed: int, auto: Bench
) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride, padding = window
    narrow = dtypes[1] == "uint8"
    op = AvgPool2d(
        input="x",
        output="y",
        kernel=kernel,
        stride=stride,
        padding=padding,
        multiplier=_scale(rng, 0.001, 0.2),
        zero_point=17 if narrow else 0,
        clip_min=0 if narrow else WIDE_MIN,
        clip_max=255 if narrow else WIDE_MAX,
    )
    auto.agrees(op, _codes(rng, shape, dtypes[0]), out_dtype=dtypes[1])


@few
@given(
    shape=st.tuples(batches, sizes, sizes),
    channels=st.lists(channel_counts, min_size=2, max_size=4),
    dtype=code_dtypes,
    seed=seeds,
)
def test_concatenating(
    shape: tuple[int, ...], channels: list[int], dtype: str, seed: int, auto: Bench
) -> None:
    rng = np.random.default_rng(seed)
    op = Concat(inputs=tuple(f"x{i}" for i in range(len(channels))), output="y")
    parts = [_codes(rng, (*shape, count), dtype) for count in channels]
    auto.agrees(op, *parts, out_dtype=dtype)


@few
@given(
    shape=st.tuples(batches, sizes, sizes, channel_counts),
    before=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    after=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dtype=code_dtypes,
    seed=seeds,
)
def test_padding(
    shape: tuple[int, ...],
    before: tuple[int, int],
    after: tuple[int, int],
    dtype: str,
    seed: int,
    auto: Bench,
) -> None:
    zero_point = 0 if dtype == "int16" else seed % 256
    op = Pad2d(input="x", output="y", before=before, after=after, zero_point=zero_point)
    auto.agrees(op, _codes(np.random.default_rng(seed), shape, dtype), out_dtype=dtype)


def test_a_reshape_needs_no_kernel(auto: Bench) -> None:
    op = Reshape(input="x", output="y", shape=(12,))
    assert auto.plan(op, [np.zeros((1, 2, 2, 3), np.uint8)], (1, 12), "uint8") is None


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_bits_of_a_tensor_share_one_requantization(bits: int, auto: Bench) -> None:
    op = Requantize(
        input="x", output="y", multiplier=0.01, zero_point=1, clip_min=0, clip_max=2**bits - 1
    )
    plan = auto.plan(op, [np.zeros((1, 4, 4, 8), np.int16)], (1, 4, 4, 8), "uint8")
    other = Requantize(input="x", output="y", multiplier=0.5, zero_point=0, clip_min=0, clip_max=3)
    assert (
        plan.key == auto.plan(other, [np.zeros((1, 4, 4, 8), np.int16)], (1, 4, 4, 8), "uint8").key
    )
