"""Geometry: the shapes of one convolution or matrix product, as its kernel sees them.

A tensor is channels-last: all codes of a pixel, then the next pixel of the row, then the next row.
Here an image of 5x5 pixels with 2 channels lies in a tensor with a border of one pixel. Each number
is the place of a pixel's first code; a 3x3 window with padding 1 starts at (-1, -1):

             column -1    0    1    2    3    4    5
    row -1        [  0    2    4]   6    8   10   12      [ ] the first window: `first_window` is 0
    row  0        [ 14   16   18]  20   22   24   26      16 is `in_place(0, 0, 0)`
    row  1        [ 28   30   32]  34   36   38   40      14 codes from row to row: `row_codes`
    row  2          42   44   46   48   50   52   54
    row  3          56   58   60   62   64   66   68
    row  4          70   72   74   76   78   80   82
    row  5          84   86   88   90   92   94   96      98 codes: `image_codes`

The three pixels of a window's row are neighbours, so that its six codes are one run
(`joins_columns`). A window then has three `runs` of six `run_codes`. With a dilation of two
columns, or with groups, every pixel of a window is a run of its own.

    >>> g = Geometry(batch=1, height=5, width=5, channels=2, out_channels=4,
    ...              kernel=(3, 3), padding=(1, 1), in_border=(1, 1))
    >>> g.in_place(0, 0, 0), g.in_place(0, 2, 1)
    (16, 46)
    >>> g.runs, g.run_codes, [g.run_offset(run) for run in range(g.runs)]
    (3, 6, [0, 14, 28])
    >>> dilated = replace(g, dilation=(1, 2))
    >>> dilated.runs, dilated.run_codes, [dilated.run_offset(run) for run in range(3)]
    (9, 2, [0, 4, 8])

A border may be wider than the padding. Then the first window starts inside it, here one row of 18
codes and one pixel of 2 codes further on:

    >>> wider = replace(g, in_border=(2, 2))
    >>> wider.row_codes, wider.first_window
    (18, 20)

The output has places of its own: 5x5 pixels of 4 values, with the border that its readers want.

    >>> g.out_place(0, 1, 2), replace(g, out_border=(1, 1)).out_place(0, 1, 2)
    (28, 68)
"""

from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """A convolution; a matrix product is one with a 1x1 kernel on an image of one pixel."""

    batch: int
    height: int
    width: int
    channels: int
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    in_border: tuple[int, int] = (0, 0)
    """Rows and columns of the padding's code that the input tensor has on each side."""
    out_border: tuple[int, int] = (0, 0)
    """Rows and columns that the output tensor leaves free on each side."""

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self._out(self.height, 0)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self._out(self.width, 1)

    @property
    def group_out_channels(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups

    @property
    def is_padded(self) -> bool:
        """Whether windows reach over the image's border."""
        return self.padding != (0, 0)

    @property
    def border(self) -> tuple[int, int]:
        """The border of the image that windows are read from: the tensor's, or a copy's."""
        return (
            max(self.padding[0], self.in_border[0]),
            max(self.padding[1], self.in_border[1]),
        )

    @property
    def lacks_border(self) -> bool:
        """Whether windows reach over the border that the input tensor has."""
        return self.border != self.in_border

    @property
    def padded_rows(self) -> int:
        """Rows of the image with its border."""
        return self.height + 2 * self.border[0]

    @property
    def row_codes(self) -> int:
        """Codes in one row of the image with its border."""
        return (self.width + 2 * self.border[1]) * self.channels

    @property
    def image_codes(self) -> int:
        """Codes in one image with its border."""
        return self.padded_rows * self.row_codes

    @property
    def first_window(self) -> int:
        """Distance of the first window's first code from the image's first code."""
        rows, columns = (self.border[axis] - self.padding[axis] for axis in (0, 1))
        return rows * self.row_codes + columns * self.channels

    @property
    def out_row_values(self) -> int:
        """Values in one row of the output with its border."""
        return (self.out_width + 2 * self.out_border[1]) * self.out_channels

    def in_place(self, image: Any, row: Any, column: Any) -> Any:
        """Return where an input pixel's first code is in its tensor (all may be symbolic)."""
        rows, columns = self.in_border
        row = image * (self.height + 2 * rows) + row + rows
        return (row * (self.width + 2 * columns) + column + columns) * self.channels

    def out_place(self, image: Any, row: Any, column: Any) -> Any:
        """Return where an output pixel's first value is (all may be symbolic)."""
        rows = self.out_height + 2 * self.out_border[0]
        row = image * rows + row + self.out_border[0]
        return row * self.out_row_values + (column + self.out_border[1]) * self.out_channels

    @property
    def joins_columns(self) -> bool:
        """Whether a window's row is one contiguous run of codes."""
        return self.groups == 1 and (self.dilation[1] == 1 or self.kernel[1] == 1)

    @property
    def runs(self) -> int:
        """Contiguous runs of codes in one window."""
        return self.kernel[0] * (1 if self.joins_columns else self.kernel[1])

    @property
    def run_codes(self) -> int:
        """Codes in one run."""
        return self.channels // self.groups * (self.kernel[1] if self.joins_columns else 1)

    def run_offset(self, run: int) -> int:
        """Return the distance of a run from the window's first code (`run` may be symbolic)."""
        row_step = self.dilation[0] * self.row_codes
        if self.joins_columns:
            return run * row_step
        columns = self.kernel[1]
        return run // columns * row_step + run % columns * self.dilation[1] * self.channels

    def flatten(self) -> "Geometry":
        """Return the same computation on one row of pixels, where windows are single pixels."""
        borders = self.border + self.out_border
        if self.kernel != (1, 1) or self.stride != (1, 1) or any(borders):
            return self
        return replace(self, batch=1, height=1, width=self.batch * self.height * self.width)

    def document(self) -> dict[str, Any]:
        """Return the shapes as JSON, for a kernel's key."""
        return asdict(self)

    def _out(self, size: int, axis: int) -> int:
        span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + 2 * self.padding[axis] - span) // self.stride[axis] + 1
