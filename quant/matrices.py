"""Matrices: the shapes of a product of two computed tensors, group by group."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrices:
    """Of each image `groups` times a matrix `[rows, depth]` and one `[depth, columns]`.

    The heads of an attention are such groups: queries `[rows, depth]` by keys `[columns, depth]`,
    which lie turned around already, and then weights `[rows, columns]` by values.

        >>> heads = Matrices(groups=3, rows=197, depth=64, columns=197, turned=True)
        >>> heads.left, heads.right, heads.made
        ((3, 197, 64), (3, 197, 64), (3, 197, 197))
    """

    groups: int
    rows: int
    depth: int
    columns: int
    turned: bool
    """Whether the right matrices lie turned around, `[columns, depth]`."""

    @property
    def left(self) -> tuple[int, int, int]:
        """Shape of the left matrices of an image, as they lie."""
        return (self.groups, self.rows, self.depth)

    @property
    def right(self) -> tuple[int, int, int]:
        """Shape of the right matrices of an image, as they lie."""
        sides = (self.columns, self.depth) if self.turned else (self.depth, self.columns)
        return (self.groups, *sides)

    @property
    def made(self) -> tuple[int, int, int]:
        """Shape of an image's products."""
        return (self.groups, self.rows, self.columns)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one image."""
        return self.groups * self.rows * self.depth * self.columns
