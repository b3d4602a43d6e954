"""Subspace: all allocations of a small decision space, numbered."""

from dataclasses import dataclass
from functools import cached_property
from math import prod

from env.decisions.decisions import DecisionSpace
from experiments.errors import ConfigError

_MOST = 20_000
"""Allocations that are tabulated; more take weeks."""


@dataclass(frozen=True, kw_only=True)
class Subspace:
    """A decision space whose allocations are numbered as an episode chooses them.

    The first decision counts most, so that allocations that begin alike lie side by side.

    With menus {2, 3, 4} and {2, 8}: 0 is (2, 2), 1 is (2, 8), 2 is (3, 2), ... 5 is (4, 8).
    """

    space: DecisionSpace

    def __post_init__(self) -> None:
        """Refuse what nobody will see the end of.

        Raises:
            ConfigError: there are too many allocations.
        """
        if len(self) > _MOST:
            raise ConfigError(
                f"expected at most {_MOST} allocations to tabulate, found {len(self)}",
                "tie layers or shorten menus with --env.layers and --env.bit-choices "
                "(docs/layers.md)",
            )

    @cached_property
    def menus(self) -> tuple[tuple[int, ...], ...]:
        """Widths of each decision, in the order of an episode."""
        return tuple(decision.menu for decision in self.space.decisions)

    def __len__(self) -> int:
        """Return the number of allocations."""
        return prod(map(len, self.menus))

    def bits(self, number: int) -> tuple[int, ...]:
        """Return the widths that an allocation's number stands for."""
        found = []
        for menu in reversed(self.menus):
            number, place = divmod(number, len(menu))
            found.append(menu[place])
        return tuple(reversed(found))

    def number(self, bits: tuple[int, ...]) -> int:
        """Return the number of an allocation.

        Raises:
            ValueError: a width is not in its menu.
        """
        found = 0
        for menu, width in zip(self.menus, bits, strict=True):
            found = found * len(menu) + menu.index(width)
        return found

    def numbers(self, prefix: tuple[int, ...]) -> range:
        """Return the numbers of the allocations that begin with these widths."""
        first, size = 0, len(self)
        for menu, width in zip(self.menus, prefix, strict=False):
            size //= len(menu)
            first += menu.index(width) * size
        return range(first, first + size)
