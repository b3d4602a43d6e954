"""Ray, where it is asked for: an extra, imported when it is used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from experiments.cluster.reach import is_address, shortened, why_apart, why_closed
from experiments.errors import ConfigError

AUTO = "auto"
_VARIABLE = "RAY_ADDRESS"
"""Names the cluster of `auto`."""
_RAYS_WORDS = ("auto", "local")
"""What it may say that is no address."""


def import_ray() -> Any:
    """Return the package.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers of each start
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "train.ray: expected the package ray, found none installed",
            'pip install "bitalloc[ray]"',
        ) from None
    return ray


def check_named(address: str) -> None:
    """Refuse the address of no cluster, before anything long begins.

    Args:
        address: As `train.ray` has it; empty for no cluster.

    Raises:
        ConfigError: Ray is not installed, or nobody listens there.
    """
    if not address:
        return
    ray = import_ray()
    if (named := _named(address)) and (reason := why_closed(found := _found(ray, named))):
        raise _nobody(named, found, reason)


def connect(address: str, processors: int) -> Any:
    """Join a cluster and return the package; one of this program's own is left as it is.

    Args:
        address: As `train.ray` has it.
        processors: That a cluster started here may use. It listens on 127.0.0.1 alone, without a
            dashboard.

    Raises:
        ConfigError: Ray is not installed, or no cluster takes this process in within a minute.
    """
    ray = import_ray()
    if ray.is_initialized():
        return ray
    quiet = {"logging_level": "error", "log_to_driver": False}
    named = _named(address)
    found = _found(ray, named or AUTO)
    reason = why_apart(found) if found else "there is none"
    if not reason:
        try:
            ray.init(address=found, **quiet)
        except Exception as error:  # of many kinds
            reason = shortened(str(error))
    if reason and named:
        raise _nobody(named, found, reason)
    if reason:
        with on_loopback(ray):
            ray.init(address="local", num_cpus=processors, include_dashboard=False, **quiet)
    return ray


def _named(address: str) -> str:
    """Return the cluster that the user named, HOST:PORT; empty for whichever this machine is in.

    Raises:
        ConfigError: it is no such address.
    """
    here = address == AUTO
    named = os.environ.get(_VARIABLE, "") if here else address
    if here and named in ("", *_RAYS_WORDS):
        return ""
    if not is_address(named):
        raise ConfigError(
            f"{_VARIABLE if here else 'train.ray'}: expected auto, or HOST:PORT of a cluster's "
            f"head, found {named!r}",
            "ray start --head says which port it listens on, 6379 as a rule",
        )
    return named


def _found(ray: Any, address: str) -> str:
    """Return where Ray looks for a cluster, HOST:PORT; empty where it knows of none.

    This machine's own address stands for its loopback there.
    """
    try:
        return str(ray._private.services.canonicalize_bootstrap_address(address) or "")
    except ConnectionError:
        return ""


def _nobody(named: str, found: str, reason: str) -> ConfigError:
    shown = named if found == named else f"{named}, which is {found} to Ray"
    return ConfigError(
        f"train.ray: expected a Ray cluster at {shown}; none answers there: {reason}",
        "ray status --address HOST:PORT shows one; --train.ray auto starts one here",
    )


@contextmanager
def on_loopback(ray: Any) -> Iterator[None]:
    """Let a node that starts meanwhile listen on 127.0.0.1.

    Ray turns an address of the loopback that it is given into one that others reach, but where it
    was told that there are no others; it has that from its start, and its processes from this one.
    """
    constants = ray._private.ray_constants
    variable = constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    said, before = os.environ.get(variable), constants.ENABLE_RAY_CLUSTER
    os.environ[variable], constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
        if said is None:
            del os.environ[variable]
        else:
            os.environ[variable] = said
