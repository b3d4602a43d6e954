"""Errors of the service: each is a sentence, a hint, and a status of HTTP."""

from quant.errors import BitAllocError


class ServiceError(BitAllocError, RuntimeError):
    """Root of what the service refuses."""

    status = 400


class RefusedError(ServiceError, ValueError):
    """Raised for a request that cannot be done as it stands."""

    status = 422


class NoJobError(ServiceError, KeyError):
    """Raised for a job that is not there, or not this user's to see."""

    status = 404

    def __init__(self, name: str) -> None:
        """Name the job."""
        super().__init__(f"there is no job {name}", "bitalloc jobs lists yours")


class NotFoundError(ServiceError, KeyError):
    """Raised for anything else that is not there."""

    status = 404


class NotNowError(ServiceError):
    """Raised for what the state of a job does not allow."""

    status = 409


class IdTakenError(ServiceError, ValueError):
    """Raised for an id that is another job's."""

    status = 409


class QuotaError(ServiceError):
    """Raised where a user has as much as one may have."""

    status = 429


class NotAllowedError(ServiceError):
    """Raised for what a token's role may not do."""

    status = 403


class NoTokenError(ServiceError):
    """Raised for a request without a token that is valid."""

    status = 401


class TooLargeError(ServiceError, ValueError):
    """Raised for bodies and files above a limit."""

    status = 413


class BusyError(ServiceError):
    """Raised where everything that is bounded is in use."""

    status = 503


class NoRoomError(ServiceError):
    """Raised where the server's disk takes no more."""

    status = 507
