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
    def padded_rows(self) -> int:
        """Rows of the image with its border."""
        return self.height + 2 * self.padding[0]

    @property
    def row_codes(self) -> int:
        """Codes in one row of the image with its border."""
        return (self.width + 2 * self.padding[1]) * self.channels

    @property
    def image_codes(self) -> int:
        """Codes in one image with its border."""
        return self.padded_rows * self.row_codes

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
        if self.kernel != (1, 1) or self.stride != (1, 1) or self.is_padded:
            return self
        return replace(self, batch=1, height=1, width=self.batch * self.height * self.width)

    def document(self) -> dict[str, Any]:
        """Return the shapes as JSON, for a kernel's key."""
        return asdict(self)

    def _out(self, size: int, axis: int) -> int:
        span = self.dilation[axis] * (self.kernel[axis] - 1) + 1
        return (size + 2 * self.padding[axis] - span) // self.stride[axis] + 1
