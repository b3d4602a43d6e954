"""F(2x2, 3x3): 16 products for four outputs, where a direct convolution has 36.

    >>> import numpy as np
    >>> codes, taps = np.arange(16).reshape(4, 4), np.eye(3, dtype=int)
    >>> b, g, a = (np.array(m) for m in (TILE_2X2.codes, TILE_2X2.weights, TILE_2X2.sums))
    >>> a @ ((g @ taps @ g.T) * (b @ codes @ b.T)) @ a.T // 4  # 0 + 5 + 10 = 15, and so on
    array([[15, 18],
           [27, 30]])

With few bits everything fits a byte (q: largest code, w: largest weight), with more 16 bits:

- B' d B: each of the 16 places is a sum of four codes with signs. At place (1, 1) all are positive,
  at most 4 q; elsewhere two of them are negative: within -2 q and 2 q.
- 2G g (2G)': at most 9 w.
- No sum of some places, as they are added up, is larger than four times an output can be.

The points are 0, 1, -1 and infinity.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1.
"""

from hardware.kernels.shapes.transform import TileTransform, square_places

TILE_2X2 = TileTransform(
    outputs=2,
    codes=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    weights=((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2)),
    sums=((1, 1, 1, 0), (0, 1, -1, -1)),
    scale=4,
    places=square_places(4),
)
"""2 G on both sides and A' as it is: sums are four times the outputs."""
