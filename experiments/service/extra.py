"""The extra `service`: what is imported where it is used, and what to install where it is not."""

from collections.abc import Iterator
from contextlib import contextmanager

from quant.errors import BitAllocError

_PACKAGES = ("fastapi", "starlette", "uvicorn", "httpx", "prometheus_client", "h11", "anyio")


class MissingServiceError(BitAllocError, ImportError):
    """Raised where a package of the extra is not installed."""


@contextmanager
def extra() -> Iterator[None]:
    """Import within this block.

    Raises:
        MissingServiceError: a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise MissingServiceError(
            f"expected the package {error.name}, which the service needs, found none",
            "pip install 'bitalloc[service]'",
        ) from None
