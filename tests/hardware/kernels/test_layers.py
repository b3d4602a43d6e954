"""Convolutions and matrix products of every family, over random shapes and extreme codes."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.errors import BuildError
from quant.deploy_graph import Epilogue
from tests.hardware.kernels.single_op import Bench, dense_of, make_layer

few = settings(
    max_examples=20,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
widths = st.integers(2, 8)
dtypes = st.sampled_from(["uint8", "int16", "float32"])


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    return {
        "batch": draw(st.sampled_from([1, 3])),
        "size": (draw(st.integers(5, 11)), draw(st.integers(7, 11))),
        "groups": groups,
        "channels": groups * draw(st.integers(1, 21)),
        "out_channels": groups * draw(st.integers(1, 35)),
        "kernel": (draw(st.integers(1, 3)), draw(st.integers(1, 4))),
        "stride": (draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        "padding": (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
        "dilation": (draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2]))),
        "bits": (draw(widths), draw(widths)),
        "out_dtype": draw(dtypes),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


def _check_conv(bench: Bench, case: dict[str, Any]) -> None:
    rng = np.random.default_rng(case["seed"])
    shape = (case["out_channels"], *case["kernel"], case["channels"] // case["groups"])
    codes = 2 ** case["bits"][1]
    op = make_layer(
        rng,
        shape,
        case["bits"],
        out_dtype=case["out_dtype"],
        zero_point=int(rng.integers(0, codes)),
        **{name: case[name] for name in ("stride", "padding", "dilation", "groups")},
    )
    x = rng.integers(0, codes, (case["batch"], *case["size"], case["channels"]), dtype=np.uint8)
    bench.agrees(op, x, out_dtype=case["out_dtype"])


@few
@given(case=convolutions())
def test_convolutions_agree(case: dict[str, Any], bench: Bench) -> None:
    _check_conv(bench, case)


@settings(few, max_examples=8)
@given(case=convolutions(), channels=st.integers(2, 21))
def test_depthwise_convolutions_agree(case: dict[str, Any], channels: int, bench: Bench) -> None:
    depthwise = dict.fromkeys(("groups", "channels", "out_channels"), channels)
    _check_conv(bench, case | depthwise)


@settings(few, max_examples=12)
@given(
    batch=st.sampled_from([1, 3]),
    features=st.integers(1, 130),
    out_features=st.integers(1, 45),
    bits=st.tuples(widths, widths),
    out_dtype=dtypes,
    seed=st.integers(0, 2**32 - 1),
)
def test_matrix_products_agree(
    batch: int,
    features: int,
    out_features: int,
    bits: tuple[int, int],
    out_dtype: str,
    seed: int,
    bench: Bench,
) -> None:
    op, x = dense_of((batch, features, out_features), bits, out_dtype, seed)
    bench.agrees(op, x, out_dtype=out_dtype)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("activation_bits", range(2, 9))
@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_extreme_codes_never_overflow(
    weight_bits: int, activation_bits: int, sign: int, bench: Bench
) -> None:
    # 2304 equal products: sums in 16 bits would overflow for every pair if none were widened.
    rng = np.random.default_rng(0)
    conv: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    op = make_layer(rng, (16, 3, 3, 256), (weight_bits, activation_bits), **conv)
    largest = 2 ** (weight_bits - 1) - 1
    weight = np.full(op.weight.shape, sign * largest, np.int8)
    epilogue = Epilogue(
        bias=np.zeros(16, np.int32), multiplier=np.ones(16, np.float32), logits=True
    )
    op = replace(op, weight=weight, epilogue=epilogue, input_zero_point=0)
    x = np.full((1, 3, 4, 256), 2**activation_bits - 1, np.uint8)
    bench.agrees(op, x, out_dtype="float32")


def test_a_huge_multiplier_clips(bench: Bench) -> None:
    # Scaled sums far beyond int32: a conversion before the clip would wrap.
    op = make_layer(np.random.default_rng(1), (11, 40), (8, 8))
    epilogue = replace(op.epilogue, multiplier=np.full(11, 1e9, np.float32))
    x = np.random.default_rng(2).integers(0, 256, (3, 40), dtype=np.uint8)
    bench.agrees(replace(op, epilogue=epilogue), x, out_dtype="uint8")


def test_codes_wider_than_their_bits_are_refused(auto: Bench) -> None:
    op = make_layer(np.random.default_rng(1), (8, 16), (4, 4))
    x = np.zeros((1, 16), np.uint8)
    wide = replace(op, weight=np.full((8, 16), 8, np.int8))
    with pytest.raises(BuildError, match=r"4-bit weights are within \+-7, found 8"):
        auto.plan(wide, [x], (1, 8), "uint8")
    with pytest.raises(BuildError, match="4-bit zero point is within 0 and 15, found 16"):
        auto.plan(replace(op, input_zero_point=16), [x], (1, 8), "uint8")
    with pytest.raises(BuildError, match=r"expected tensors of shape \(1, 16\) and \(1, 8\)"):
        auto.plan(op, [x[:, :15]], (1, 8), "uint8")


def test_a_shifted_bias_beyond_int32_is_refused(auto: Bench) -> None:
    op = make_layer(np.random.default_rng(1), (8, 16), (8, 8), zero_point=200)
    weight = np.full((8, 16), -127, np.int8)
    epilogue = replace(op.epilogue, bias=np.full(8, 2**31 - 1, np.int32))
    with pytest.raises(BuildError, match="does not fit int32"):
        auto.plan(
            replace(op, weight=weight, epilogue=epilogue),
            [np.zeros((1, 16), np.uint8)],
            (1, 8),
            "uint8",
        )
