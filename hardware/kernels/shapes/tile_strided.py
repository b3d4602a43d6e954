"""3x3 convolutions of stride 2: 25 products for four outputs, where the direct one has 36.

With a stride of 2, a kernel's taps 0 and 2 meet only even rows of the image, and tap 1 only odd
ones. These phases are convolutions of stride 1, with 2x2, 2x1, 1x2 and 1x1 taps. Two taps are
transformed by F(2, 2), three products for two outputs; one tap has two. In one direction, with a
window of five codes d and taps g, the rows of B' and G and the columns of A':

    d0 - d2   g0         y0           F(2, 2) of the even phase, points 0, 1 and infinity
    d1        g1         y0           the odd phase
    d2        g0 + g2    y0 and y1    F(2, 2)
    d3        g1              y1      the odd phase
    d4 - d2   g2              y1      F(2, 2)

    >>> import numpy as np
    >>> codes, taps = np.arange(25).reshape(5, 5), np.eye(3, dtype=int)
    >>> b, g, a = (np.array(m) for m in (STRIDED.codes, STRIDED.weights, STRIDED.sums))
    >>> a @ ((g @ taps @ g.T) * (b @ codes @ b.T)) @ a.T  # 0 + 6 + 12 = 18, and so on
    array([[18, 24],
           [48, 54]])

The first two rows reach the same outputs, and so do the last two. So the products of one to four
places are added up as one sum: nine sums in all, and their places stand side by side.

There are no fractions, and bounds are small (q: largest code, w: largest weight):

- B' d B: at nine places a code as it is, at twelve the difference of two, at four of two such
  differences, within -2 q and 2 q. So bytes hold 6 bits, signed or with an offset of 2 q.
- G g G': a sum of four weights at one place, 4 w, at most two at the others. A signed byte holds
  those of 6 bits.
- Larger tiles, by F(3, 2): 49 products for nine outputs, 1.65 times fewer than 81. But 14 and 28
  outputs are no multiple of 3, and tiles that reach over the end leave 1.44 times, as many as here.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1 for
F(2, 2); the phases are those of a polyphase filter.
"""

from hardware.kernels.shapes.transform import Place, TileTransform, square_places

_REACHES = (0, 0, 1, 2, 2)
"""Rows that reach the same outputs have equal numbers."""


def _order(place: Place) -> tuple[int, int, int]:
    """Return what places of one sum have in common, sums of few places first."""
    row, column = _REACHES[place.row], _REACHES[place.column]
    return _REACHES.count(row) * _REACHES.count(column), row, column


STRIDED = TileTransform(
    outputs=2,
    stride=2,
    codes=(
        (1, 0, -1, 0, 0),
        (0, 1, 0, 0, 0),
        (0, 0, 1, 0, 0),
        (0, 0, 0, 1, 0),
        (0, 0, -1, 0, 1),
    ),
    weights=((1, 0, 0), (0, 1, 0), (1, 0, 1), (0, 1, 0), (0, 0, 1)),
    sums=((1, 1, 1, 0, 0), (0, 0, 1, 1, 1)),
    scale=1,
    places=tuple(sorted(square_places(5), key=_order)),
)
