"""Groups, sentence and bar from times whose answers are known."""

from collections.abc import Mapping

import pytest

from experiments.staircase.layer_steps import LayerSteps
from experiments.staircase.summary import summarize
from hardware.errors import BuildError
from hardware.graph.layer_shape import LayerShape
from tests.experiments.staircase.bar import check_bar

WIDTHS = (8, 7, 6, 5, 4, 3, 2)
STEEP = {8: 100.0, 7: 77.0, 6: 59.0, 5: 59.0, 4: 58.8, 3: 58.5, 2: 47.6}


def layer(
    times_us: Mapping[int, float],
    *,
    name: str = "conv",
    spread: float = 0.0,
    kernel: int = 3,
    reads_input: bool = False,
) -> LayerSteps:
    pairs = {bits: (bits, 8 if reads_input else bits) for bits in times_us}
    return LayerSteps(
        name=name,
        shape=LayerShape(
            kind="convolution",
            input_shape=(8, 8, 16),
            output_shape=(8, 8, 16),
            kernel=(kernel, kernel),
            macs=147_456,
        ),
        times_us={pairs[bits]: time_us for bits, time_us in times_us.items()},
        spreads_us={pairs[bits]: spread * time_us for bits, time_us in times_us.items()},
        families=dict.fromkeys(pairs.values(), "generic"),
    )


def sentence(times_us: Mapping[int, float], spread: float = 0.0) -> str:
    return summarize([layer(times_us, spread=spread)], sorted(times_us, reverse=True)).sentence


def test_the_sentence_of_a_staircase() -> None:
    assert sentence(STEEP) == "7 bits: 1.30x over 8; 6 to 3: 1.70x; 2: 2.10x"


@pytest.mark.parametrize(
    ("times_us", "expected"),
    [
        ({8: 10.0, 7: 10.0, 6: 5.0, 2: 5.0}, "7 bits: no faster than 8; 6 and below: 2.00x over 8"),
        ({8: 10.0, 6: 8.0, 5: 8.0, 2: 5.0}, "6 and 5 bits: 1.25x over 8; 2: 2.00x"),
        ({8: 10.0, 7: 12.5, 4: 5.0}, "7 bits: 0.80x over 8 (slower); 4: 2.00x"),
        ({8: 10.0, 4: 10.05, 2: 9.95}, "fewer bits buy no time: 4 bits and below take what 8 do"),
        ({8: 10.0, 4: 9.9}, "fewer bits buy no time: 4 bits take what 8 do"),
    ],
)
def test_other_sentences(times_us: Mapping[int, float], expected: str) -> None:
    assert sentence(times_us) == expected


def test_what_spreads_more_is_one_group() -> None:
    times_us = {8: 100.0, 7: 95.0, 6: 50.0}
    assert sentence(times_us) == "7 bits: 1.05x over 8; 6: 2.00x"
    # Two spreads of 4 % are apart by up to 5.7 %.
    assert sentence(times_us, 0.04) == "7 bits: no faster than 8; 6: 2.00x over 8"
    assert "(unstable: timings that repeat only to 20%)" in sentence(times_us, 0.20)
    assert sentence(times_us, 0.9) == (
        "timings that repeat only to 90% do not tell these widths apart"
    )


def test_the_most_alike_are_joined_first() -> None:
    # 4 bits are within 2 % of 3, and not of 2; 3 and 2 are nearly the same.
    summary = summarize([layer({8: 200.0, 4: 102.0, 3: 100.2, 2: 99.8})], (8, 4, 3, 2))
    assert [group.bits for group in summary.groups] == [(8,), (4,), (3, 2)]


def test_layers_weigh_what_they_take_at_8_bits() -> None:
    layers = [layer({8: 300.0, 4: 150.0}), layer({8: 100.0, 4: 100.0}, name="slow")]
    summary = summarize(layers, (8, 4))
    assert summary.widths[1].speedup == pytest.approx(2.0**0.75)
    spread = summarize(
        [layer({8: 300.0, 4: 150.0}, spread=0.04), layer({8: 100.0, 4: 100.0}, spread=0.08)], (8, 4)
    )
    assert spread.widths[1].spread == pytest.approx((0.03**2 + 0.02**2) ** 0.5)


def test_a_layer_shorter_than_nothing_does_not_count() -> None:
    tiny = layer({8: 0.1, 4: -0.02}, name="tiny")
    assert summarize([tiny, layer({8: 2.0, 4: 1.0})], (8, 4)).widths[1].speedup == 2.0
    with pytest.raises(BuildError, match="longer than an empty program, found none"):
        summarize([tiny], (8, 4))


def test_the_bar_is_met_by_a_steep_staircase() -> None:
    one, mean = check_bar([layer(STEEP)], WIDTHS)
    assert not one.failed
    assert one.ratios["t8/t7"] == pytest.approx(100 / 77)
    assert (one.name, mean.name) == ("conv", "geometric mean")
    assert mean.ratios == pytest.approx(one.ratios)


@pytest.mark.parametrize(
    ("bits", "time_us", "failed"),
    [
        (7, 96.0, ("t8/t7",)),
        (6, 74.0, ("t7/t6",)),
        (4, 61.0, ("t4/t6",)),
        (2, 56.5, ("t4/t2",)),
    ],
)
def test_the_bar_names_what_fails(bits: int, time_us: float, failed: tuple[str, ...]) -> None:
    assert check_bar([layer({**STEEP, bits: time_us})], WIDTHS)[0].failed == failed


def test_the_bar_is_for_3x3_convolutions_with_both_bits_to_choose() -> None:
    assert not check_bar([layer(STEEP, kernel=1), layer(STEEP, reads_input=True)], WIDTHS)
    assert not check_bar([layer(STEEP)], (8, 4, 2))
