"""Layout: where the values of a channels-last tensor are, border included.

A tensor of 2x3 pixels with 2 channels and a border of one pixel; each number is the place of a
pixel's first value, and `b` marks the border:

      0b   2b   4b   6b   8b
     10b  12   14   16   18b      `row(0, 0)` is 12
     20b  22   24   26   28b      `row(0, 1)` is 22
     30b  32b  34b  36b  38b

    >>> bordered = Layout(batch=1, height=2, width=3, channels=2, border=(1, 1))
    >>> bordered.row(0, 0), bordered.row(0, 1)
    (12, 22)

A loop goes over the `row_values` of each row: 6 of them, twice. Without borders the rows follow
each other, and `join_rows` makes one row of 12 values of them, which vectors fill better.

    >>> (one,) = Layout(batch=1, height=2, width=3, channels=2).join_rows()
    >>> one.height, one.row_values
    (1, 12)
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A tensor of images, or of vectors as images of one pixel."""

    batch: int
    height: int
    width: int
    channels: int
    border: tuple[int, int] = (0, 0)
    """Rows and columns on each side that nobody writes."""

    @classmethod
    def of(cls, shape: tuple[int, ...], border: tuple[int, int], batch: int) -> "Layout":
        """Return the layout of a tensor `(H, W, C)` or `(F,)`."""
        height, width, channels = shape if len(shape) == 3 else (1, 1, shape[0])
        return cls(batch=batch, height=height, width=width, channels=channels, border=border)

    @property
    def row_values(self) -> int:
        """Values in one row without its border."""
        return self.width * self.channels

    def row(self, image: Any, row: Any) -> Any:
        """Return where a row's first pixel is (both may be symbolic)."""
        rows, columns = self.border
        row = image * (self.height + 2 * rows) + row + rows
        return row * ((self.width + 2 * columns) * self.channels) + columns * self.channels

    def join_rows(self, *others: "Layout") -> tuple["Layout", ...]:
        """Return this and other layouts as one row each where none has a border.

        A value then has the same place in all of them, and loops need not end with a row.
        """
        layouts = (self, *others)
        if any(any(layout.border) for layout in layouts):
            return layouts
        return tuple(
            Layout(
                batch=1,
                height=1,
                width=layout.batch * layout.height * layout.width,
                channels=layout.channels,
            )
            for layout in layouts
        )
