"""Geometry: the shapes of one convolution or matrix product, as its kernel sees them."""

from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["Geometry"]


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

    def flattened(self) -> "Geometry":
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
