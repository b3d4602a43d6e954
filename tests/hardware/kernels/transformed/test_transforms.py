"""Transforms of tiles: whole numbers, bounds that are reached, offsets that the bias takes away."""

from itertools import product

import numpy as np
import pytest

from hardware.kernels.shapes.transform import Place, TileName, TileTransform
from hardware.kernels.shapes.transformed_codes import (
    TILES,
    CodeForm,
    code_range,
    fits_codes,
    offset_index,
    offset_sums,
    offsets,
)

BYTES: list[tuple[TileName, CodeForm, tuple[int, ...], tuple[int, ...]]] = [
    ("2x2", "uint8", (2, 3, 4, 5, 6), (2, 3, 4)),
    ("2x2", "int8", (2, 3, 4, 5, 6), (2, 3, 4)),
    ("3x3", "uint8", (2, 3), (2,)),
    ("3x3", "int8", (2, 3), (2,)),
    ("3x3-split", "uint8", (2, 3), (2, 3)),
    ("3x3-split", "int8", (2, 3), (2, 3)),
    ("strided", "uint8", (2, 3, 4, 5, 6), (2, 3, 4, 5, 6)),
    ("strided", "int8", (2, 3, 4, 5, 6), (2, 3, 4, 5, 6)),
]
"""Transforms to bytes, with the widths of codes and of weights that fit them."""
CASES = [(TILES[name], form, codes, weights) for name, form, codes, weights in BYTES]
IDS = [f"{name}-{form}" for name, form, *_ in BYTES]


def factors(tiles: TileTransform, place: Place) -> np.ndarray:
    """What a place's transformed code multiplies each code of the window by."""
    return np.outer(tiles.codes[place.row], tiles.codes[place.column])


def added(tiles: TileTransform, form: CodeForm, bits: int, place: Place) -> int:
    index = offset_index(tiles, form, place)
    return 0 if index is None else int(offsets(tiles, form, bits)[index])


@pytest.mark.parametrize(("tiles", "form", "fitting", "_weights"), CASES, ids=IDS)
def test_transformed_codes_reach_their_bounds_and_no_more(
    tiles: TileTransform, form: CodeForm, fitting: tuple[int, ...], _weights: object
) -> None:
    lowest, highest = (0, 255) if form == "uint8" else (-128, 127)
    for bits in range(2, 9):
        largest = 2**bits - 1
        found: list[int] = []
        for place in tiles.places:
            signs, offset = factors(tiles, place), added(tiles, form, bits, place)
            reached = (
                offset + largest * signs.clip(max=0).sum(),
                offset + largest * signs.clip(min=0).sum(),
            )
            assert reached == code_range(tiles, form, bits, place)
            found += reached
        assert fits_codes(tiles, form, bits) == (lowest <= min(found) and max(found) <= highest)
        assert fits_codes(tiles, form, bits) == (bits in fitting)


@pytest.mark.parametrize(("tiles", "_form", "_codes", "fitting"), CASES, ids=IDS)
def test_transformed_weights_reach_their_bounds_and_no_more(
    tiles: TileTransform, _form: object, _codes: object, fitting: tuple[int, ...]
) -> None:
    for bits in range(2, 9):
        largest, found = 2 ** (bits - 1) - 1, []
        for number, place in enumerate(tiles.places):
            row, column = tiles.weights[place.weights], tiles.weights[place.column]
            kernel = largest * np.where(np.outer(row, column) < 0, -1, 1)
            places = np.empty((1, len(tiles.places)), np.int64)
            tiles.transform_taps(kernel[:, :, None], places)
            assert places[0, number] == tiles.largest_weight(place, bits)
            found.append(places[0, number])
        assert (max(found) <= 127) == (bits in fitting)


@pytest.mark.parametrize(("tiles", "form", "codes", "weights"), CASES, ids=IDS)
def test_the_algorithm_and_the_offsets_are_whole(
    tiles: TileTransform, form: CodeForm, codes: tuple[int, ...], weights: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(0)
    matrix, back = np.array(tiles.codes), np.array(tiles.sums)
    for bits, weight_bits in product(codes, weights):
        largest = 2 ** (weight_bits - 1) - 1
        kernel = rng.integers(-largest, largest + 1, (1, 3, 3, 1)).astype(np.int8)
        window = rng.integers(0, 2**bits, (tiles.window, tiles.window))
        places = np.empty((1, len(tiles.places)), np.int8)
        tiles.transform_taps(np.moveaxis(kernel[..., 0], 0, 2), places)
        moved, products = matrix @ window @ matrix.T, np.zeros(window.shape, int)
        for number, place in enumerate(tiles.places):
            code = moved[place.row, place.column] + added(tiles, form, bits, place)
            products[place.row, place.column] += code * int(places[0, number])
        outputs = back @ products @ back.T
        expected = [
            [
                (window[y : y + 3, x : x + 3] * kernel[0, :, :, 0]).sum()
                for x in range(0, tiles.stride * tiles.outputs, tiles.stride)
            ]
            for y in range(0, tiles.stride * tiles.outputs, tiles.stride)
        ]
        assert not (outputs % tiles.scale).any()
        constant = offset_sums(kernel, tiles, form, bits).reshape(tiles.outputs, -1)
        assert np.array_equal(outputs // tiles.scale, expected + constant)
