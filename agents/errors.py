"""Errors of the search methods."""

from quant.errors import BitAllocError


class MissingExtraError(BitAllocError, ImportError):
    """Raised where a method needs a package that is an extra; the hint says how to install it."""
