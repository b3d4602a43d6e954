"""F(3x3, 3x3): 25 products for nine outputs, where a direct convolution has 81 and F(2x2) has 36.

For codes and weights of at most 3 bits (q: largest code, 3 or 7; w: largest weight, 1 or 3). The
points are 0, 1, -1, 2 and infinity:

    B'   2 -1 -2  1  0      G  3 0 0     A'  1 -3 -1  1  0
         0 -2 -1  1  0         1 1 1         0 -3  1  2  0
         0  2 -3  1  0         1 -1 1        0 -3 -1  4  2
         0 -1  0  1  0         1 2 4
         0  2 -1 -2  1         0 0 3

A 1D transform of three weights and five codes gives six times three outputs; both directions give
36 times nine. Bounds follow from the factors of one row, added up by sign:

- B' d B: rows 0, 2 and 4 have 3 and -3, row 1 has 1 and -3, row 3 has 1 and -1. Two rows of 3 and
  -3 meet in 18 q and -18 q: a span of 252 at 3 bits, a byte, signed or with an offset of 126. No
  other place is wider.
- G g G': the sums of factors are 3, 3, 3, 7 and 3, so that a place has at most 49 w, at (3, 3), and
  21 w beside it. At 2 bits that is 49; at 3 bits 147 at (3, 3) and 63 elsewhere. This one place is
  computed twice, as `(1 2 0)` and as `(0 0 4)` in its rows, with weights of at most 63 and 84, and
  both sums are added.
- Four bits fit neither: 36 * 15 codes, and 147 at (1, 3).

Division by 36 is exact: a shift by two, and a multiplication by the inverse of 9 modulo 2^32.

    >>> import numpy as np
    >>> codes, taps = np.arange(25).reshape(5, 5), np.eye(3, dtype=int)
    >>> b, g, a = (np.array(m) for m in (TILE_3X3.codes, TILE_3X3.weights, TILE_3X3.sums))
    >>> (a @ ((g @ taps @ g.T) * (b @ codes @ b.T)) @ a.T // 36)[0]  # 0 + 6 + 12 = 18, and so on
    array([18, 21, 24])

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1 gives
the construction; points and factors are chosen for these bounds.
"""

from dataclasses import replace

from hardware.kernels.shapes.transform import Place, TileTransform, square_places

_WINDOW = 5
_LARGE = 3
"""Row and column of the place with the largest weights."""

TILE_3X3 = TileTransform(
    outputs=3,
    codes=(
        (2, -1, -2, 1, 0),
        (0, -2, -1, 1, 0),
        (0, 2, -3, 1, 0),
        (0, -1, 0, 1, 0),
        (0, 2, -1, -2, 1),
    ),
    weights=((3, 0, 0), (1, 1, 1), (1, -1, 1), (1, 2, 4), (0, 0, 3)),
    sums=((1, -3, -1, 1, 0), (0, -3, 1, 2, 0), (0, -3, -1, 4, 2)),
    scale=36,
    places=square_places(_WINDOW),
)
"""For weights of 2 bits."""

TILE_3X3_SPLIT = replace(
    TILE_3X3,
    weights=(*TILE_3X3.weights, (1, 2, 0), (0, 0, 4)),
    places=(
        *(
            replace(one, weights=_WINDOW) if one.row == one.column == _LARGE else one
            for one in TILE_3X3.places
        ),
        Place(row=_LARGE, column=_LARGE, weights=_WINDOW + 1),
    ),
)
"""For weights of 3 bits: the last of its 26 places is the second part of place (3, 3)."""
