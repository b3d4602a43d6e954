"""Ray, where it is asked for: an extra, imported when it is used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from experiments.errors import ConfigError

AUTO = "auto"


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


def connect(address: str, processors: int) -> Any:
    """Join a cluster and return the package; one of this program's own is left as it is.

    Args:
        address: As `train.ray` has it.
        processors: That a cluster started here may use. It listens on 127.0.0.1 alone, without a
            dashboard.

    Raises:
        ConfigError: Ray is not installed, or no cluster answers there.
    """
    ray = import_ray()
    if ray.is_initialized():
        return ray
    quiet = {"logging_level": "error", "log_to_driver": False}
    try:
        ray.init(address=address, **quiet)
    except (
        Exception
    ) as error:  # of many kinds: it tells of no cluster by ConnectionError and others
        if address != AUTO:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"train.ray: expected a Ray cluster at {address}, none answers there: {reason}",
                "ray status --address shows one; --train.ray auto starts one here",
            ) from None
        with on_loopback(ray):
            ray.init(address="local", num_cpus=processors, include_dashboard=False, **quiet)
    return ray


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
