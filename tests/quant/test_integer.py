"""The integer reference against cases done by hand and against torch in float64."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from quant.deploy_graph import (
    WIDE_MAX,
    WIDE_MIN,
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Epilogue,
    Linear,
    MaxPool2d,
    Pad2d,
    QuantizeInput,
    Requantize,
    Reshape,
)
from quant.errors import ConvertError
from quant.integer import requantize, run_op


def epilogue(channels: int, **changes: Any) -> Epilogue:
    values: dict[str, Any] = {
        "bias": np.zeros(channels, np.int32),
        "multiplier": np.ones(channels, np.float32),
        "clip_min": WIDE_MIN,
        "clip_max": WIDE_MAX,
    }
    return Epilogue(**(values | changes))


def linear(weight: list[list[int]], **changes: Any) -> Linear:
    codes = np.array(weight, np.int8)
    values: dict[str, Any] = {
        "layer": "fc",
        "input": "a",
        "output": "b",
        "weight": codes,
        "weight_bits": 8,
        "activation_bits": 8,
        "input_zero_point": 0,
        "epilogue": epilogue(len(codes)),
    }
    return Linear(**(values | changes))


def test_requantize_rounds_ties_to_even() -> None:
    codes = requantize(np.array([-5, -3, -1, 1, 3, 5, 7]), 0.5, 0, -10, 10)
    np.testing.assert_array_equal(codes, [-2, -2, 0, 0, 2, 2, 4])  # -2.5 -1.5 -.5 .5 1.5 2.5 3.5


def test_requantize_adds_the_zero_point_after_rounding() -> None:
    # 0.5 + 1 would round to 2; 0 + 1 is 1.
    np.testing.assert_array_equal(requantize(np.array([1]), 0.5, 1, 0, 255), [1])


def test_requantize_clips_what_would_wrap() -> None:
    big = np.array([2**31 - 1, -(2**31)], np.int64)
    np.testing.assert_array_equal(requantize(big, 1.0, 255, 0, 255), [255, 0])


def test_requantize_multiplies_once_in_float32() -> None:
    # 16777217 is no float32: it becomes 16777216 before the multiplication, and then 2**23.
    np.testing.assert_array_equal(requantize(np.array([16777217]), 0.5, 0, 0, 2**30), [2**23])
    # float32(0.1) is a little more than a tenth: 5 * 0.1 is 0.5 again and goes to the even 0.
    np.testing.assert_array_equal(requantize(np.array([5]), 0.1, 0, 0, 9), [0])


def test_linear_by_hand() -> None:
    # (10-3)*2 + (1-3)*-5 = 24; (10-3)*-1 + (1-3)*7 = -21; bias 1 and -4; times 0.5, plus z.
    op = linear(
        [[2, -5], [-1, 7]],
        input_zero_point=3,
        epilogue=epilogue(
            2,
            bias=np.array([1, -4], np.int32),
            multiplier=np.array([0.5, 1.0], np.float32),
            zero_point=30,
            clip_min=0,
            clip_max=40,
        ),
    )
    # 25 * .5 = 12.5 -> 12 + 30 -> clipped to 40; -25 + 30 = 5
    np.testing.assert_array_equal(run_op(op, np.array([[10, 1]], np.uint8)), [[40, 5]])


def test_logits_are_neither_rounded_nor_clipped() -> None:
    logits = epilogue(1, multiplier=np.array([0.3], np.float32), logits=True)
    result = run_op(linear([[1, 1]], epilogue=logits), np.array([[200, 255]], np.uint8))
    assert result.dtype == np.float32
    assert result[0, 0] == np.float32(455) * np.float32(0.3)


def test_an_accumulator_beyond_int32_is_refused() -> None:
    op = linear([[127]], epilogue=epilogue(1, bias=np.array([2**31 - 1], np.int32)))
    with pytest.raises(ConvertError, match="int32"):
        run_op(op, np.array([[255]], np.uint8))


def conv(weight: np.ndarray[Any, Any], zero_point: int, **geometry: Any) -> Conv2d:
    values: dict[str, Any] = {
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
        "groups": 1,
    }
    return Conv2d(
        layer="conv",
        input="a",
        output="b",
        weight=weight.astype(np.int8),
        weight_bits=8,
        activation_bits=8,
        input_zero_point=zero_point,
        epilogue=epilogue(len(weight), clip_min=-(2**31), clip_max=2**31 - 1),
        **(values | geometry),
    )


def test_padding_writes_the_zero_point() -> None:
    # One pixel of real value 7 - 5 = 2 under a 3x3 kernel of ones: the frame adds nothing.
    op = conv(np.ones((1, 3, 3, 1)), 5, padding=(1, 1))
    np.testing.assert_array_equal(run_op(op, np.full((1, 1, 1, 1), 7, np.uint8)), [[[[2]]]])


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"stride": (2, 1), "padding": (1, 2)},
        {"dilation": (2, 1), "padding": (2, 0)},
        {"groups": 3, "padding": (1, 1)},
        {"groups": 6, "stride": (2, 2)},
    ],
)
def test_convolutions_equal_torch_in_float64(geometry: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    groups = geometry.get("groups", 1)
    codes = rng.integers(0, 256, (2, 7, 9, 6)).astype(np.uint8)
    weight = rng.integers(-127, 128, (12, 3, 3, 6 // groups)).astype(np.int8)
    expected = functional.conv2d(
        torch.from_numpy(codes).permute(0, 3, 1, 2).double() - 91,
        torch.from_numpy(weight).permute(0, 3, 1, 2).double(),
        **geometry,
    )
    # The epilogue's one float32 product by 1.0 is where sums above 2**24 lose their last bits.
    np.testing.assert_array_equal(
        run_op(conv(weight, 91, **geometry), codes),
        expected.permute(0, 2, 3, 1).float().numpy().astype(np.int64),
    )


def test_input_codes_are_channels_last_and_clipped() -> None:
    x = np.array([[[[0.25, -9.0]], [[0.75, 9.0]]]], np.float32)  # [1, 2, 1, 2]
    op = QuantizeInput(input="x", output="q", multiplier=10.0, zero_point=100)
    # 2.5 -> 2, 7.5 -> 8: ties to even, then the zero point.
    np.testing.assert_array_equal(run_op(op, x), [[[[102, 108], [10, 190]]]])
    far = run_op(op, np.array([[1e30, -1e30]], np.float32))
    np.testing.assert_array_equal(far, [[255, 0]])


def test_add_rounds_each_branch_and_clips() -> None:
    op = Add(
        inputs=("a", "b"), output="c", multipliers=(0.5, 0.25), clip_min=WIDE_MIN, clip_max=WIDE_MAX
    )
    a, b = np.array([[3, 1, 32767]], np.int16), np.array([[6, 2, 32767]], np.int16)
    # 1.5 -> 2 and 1.5 -> 2; .5 -> 0 and .5 -> 0, not rint(1.0); 16384 + 8192.
    np.testing.assert_array_equal(run_op(op, a, b), [[4, 0, 24576]])
    full = Add(inputs=("a", "b"), output="c", multipliers=(1.0, 1.0), clip_min=0, clip_max=WIDE_MAX)
    both = np.array([[32767, -5]], np.int16)
    np.testing.assert_array_equal(run_op(full, both, both), [[32767, 0]])


def test_max_pool_padding_never_wins() -> None:
    op = MaxPool2d(input="a", output="b", kernel=(3, 3), stride=(2, 2), padding=(1, 1))
    codes = np.full((1, 4, 4, 1), -7, np.int16)
    np.testing.assert_array_equal(run_op(op, codes), np.full((1, 2, 2, 1), -7))


def test_max_pool_equals_torch() -> None:
    codes = np.random.default_rng(1).integers(0, 16, (2, 7, 9, 3)).astype(np.uint8)
    op = MaxPool2d(input="a", output="b", kernel=(3, 2), stride=(2, 3), padding=(1, 1))
    expected = functional.max_pool2d(
        torch.from_numpy(codes).permute(0, 3, 1, 2).double(), (3, 2), (2, 3), (1, 1)
    )
    np.testing.assert_array_equal(run_op(op, codes), expected.permute(0, 2, 3, 1).numpy())


def test_padding_writes_the_zero_point_on_each_side_by_itself() -> None:
    op = Pad2d(input="a", output="b", before=(1, 0), after=(0, 2), zero_point=9)
    codes = np.array([[1, 2], [3, 4]], np.uint8).reshape(1, 2, 2, 1)
    expected = [[9, 9, 9, 9], [1, 2, 9, 9], [3, 4, 9, 9]]
    np.testing.assert_array_equal(run_op(op, codes)[0, :, :, 0], expected)


def test_average_pool_folds_the_count() -> None:
    op = AvgPool2d(
        input="a",
        output="b",
        kernel=(2, 2),
        stride=(2, 2),
        padding=(0, 0),
        multiplier=0.25,
        zero_point=10,
        clip_min=0,
        clip_max=255,
    )
    codes = np.array([1, 2, 3, 4, -100, -100, -100, -100], np.int16).reshape(1, 4, 2, 1)
    # 10 / 4 = 2.5 -> 2, + 10; -100 + 10 -> 0
    np.testing.assert_array_equal(run_op(op, codes), np.array([12, 0]).reshape(1, 2, 1, 1))


def test_requantize_flatten_and_concat_operators() -> None:
    narrow = Requantize(
        input="a", output="b", multiplier=0.1, zero_point=1, clip_min=0, clip_max=15
    )
    wide = np.array([[-300, 0, 44, 300]], np.int16)
    np.testing.assert_array_equal(run_op(narrow, wide), [[0, 1, 5, 15]])
    image = np.arange(12).reshape(1, 2, 2, 3)
    flat = run_op(Reshape(input="a", output="b", shape=(12,)), image)
    np.testing.assert_array_equal(flat, [np.arange(12)])
    joined = run_op(Concat(inputs=("a", "b"), output="c"), image, image[..., :1])
    np.testing.assert_array_equal(joined[0, 1, 1], [9, 10, 11, 9])
