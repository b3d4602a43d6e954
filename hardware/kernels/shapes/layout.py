"""Layout: where the values of a channels-last tensor are, border included."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Layout"]


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

    def joined(self, *others: "Layout") -> tuple["Layout", ...]:
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
