"""RayPool: candidates that are retrained by the machines of a cluster.

Each worker holds the float checkpoint and the data, and returns an integer network with its scores.
What it returns depends on the allocation alone, so that a retraining whose machine was lost is done
again elsewhere and comes to the same.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from env.evaluating.training_pool import TrainedCandidate, WorkersConfig
from experiments.cluster.ray_extra import connect
from experiments.cluster.training_actor import TrainingActor, TrainingJob
from experiments.errors import ConfigError
from hardware.errors import HardwareLostError
from quant.allocation import Allocation
from quant.errors import BitAllocError

_logger = logging.getLogger(__name__)

TRAIN = "train"
"""The resource of machines that may retrain, where any of the cluster has it."""
_RESTARTS = 20
"""Times that a worker's process is started anew, here or on another machine."""
_RETRIES = 4
"""Times that one retraining is done again because its machine or process was lost."""
_LOST_S = 600.0
"""Seconds without any machine that could retrain, after which the run stops; it can be resumed."""
_LOOK_S = 5.0
_HINT = "bring machines back, and go on with --resume RUN"


class RayPool:
    """Retrains candidates by actors of a Ray cluster."""

    def __init__(self, config: WorkersConfig, job: TrainingJob) -> None:
        """Join the cluster and start the workers; they hold the job from then on.

        Raises:
            ConfigError: Ray is not installed, no cluster answers, or it can retrain nothing.
        """
        processors = config.workers * job.threads
        self._ray = ray = connect(config.ray, processors)
        needs = _needs(ray, job)
        _check_needs(ray, needs)
        actor = ray.remote(
            max_restarts=_RESTARTS, max_task_retries=_RETRIES, scheduling_strategy="SPREAD", **needs
        )(TrainingActor)
        self._held = ray.put(job)  # as long as the pool lives: who is started anew reads it again
        self._actors = [actor.remote(self._held) for _ in range(config.workers)]
        self._asked: list[list[Any]] = [[] for _ in self._actors]

    @property
    def workers(self) -> int:
        """How many are retrained at once."""
        return len(self._actors)

    def submit(self, allocation: Allocation, repeat: int) -> "RayTraining":
        """Ask the worker that has the least to do."""
        ray = self._ray
        for place, asked in enumerate(self._asked):
            if asked:
                self._asked[place] = ray.wait(asked, num_returns=len(asked), timeout=0)[1]
        least = min(range(len(self._actors)), key=lambda place: len(self._asked[place]))
        found = self._actors[least].train.remote(allocation, repeat)
        self._asked[least].append(found)
        return RayTraining(ray, found)

    def close(self) -> None:
        """End the workers, and leave the cluster; one that was started here ends with that."""
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.shutdown()


class RayTraining:
    """One retraining that a worker was asked for."""

    def __init__(self, ray: Any, found: Any) -> None:
        """Keep Ray's reference of the result."""
        self._ray, self._found = ray, found

    def result(self) -> TrainedCandidate:
        """Return what it came to; as long as machines are left that could do it, wait.

        Raises:
            TrainingError: weights or values are not finite.
            ConvertError: it has no integer form.
            HardwareLostError: no machine was left for ten minutes, or each that tried was lost.
        """
        trained = self._wait(time.monotonic)
        if isinstance(trained, BitAllocError):
            raise trained
        return trained

    def cancel(self) -> None:
        """Take it off its worker's list; one that has begun is finished for nobody."""
        self._ray.cancel(self._found, force=False)

    def _wait(self, now: Callable[[], float]) -> TrainedCandidate | BitAllocError:
        exceptions, alone_since = self._ray.exceptions, None
        while True:
            try:
                found: TrainedCandidate | BitAllocError = self._ray.get(
                    self._found, timeout=_LOOK_S
                )
                return found
            except exceptions.GetTimeoutError:
                if any(
                    node["Alive"] and node["Resources"].get("CPU") for node in self._ray.nodes()
                ):
                    alone_since = None
                    continue
                alone_since = now() if alone_since is None else alone_since
                if now() - alone_since > _LOST_S:
                    raise HardwareLostError(
                        "no machine of the Ray cluster is left to retrain on", _HINT
                    ) from None
            except (
                exceptions.RayActorError,
                exceptions.ObjectLostError,
                exceptions.OutOfMemoryError,
            ) as error:
                reason = " ".join(str(error).split())
                raise HardwareLostError(
                    f"a retraining was lost with each of the machines that tried it: {reason}",
                    _HINT,
                ) from None


def _needs(ray: Any, job: TrainingJob) -> dict[str, Any]:
    """Return what one worker takes of a machine."""
    needs: dict[str, Any] = {"num_cpus": job.threads}
    if job.config.device.startswith("cuda"):
        needs["num_gpus"] = 1
    if TRAIN in ray.cluster_resources():
        needs["resources"] = {TRAIN: 1}
    return needs


def _check_needs(ray: Any, needs: dict[str, Any]) -> None:
    """Refuse a cluster in which a worker would wait for ever."""
    wanted = {"CPU": needs["num_cpus"], "GPU": needs.get("num_gpus", 0)}
    wanted |= needs.get("resources", {})
    for node in ray.nodes():
        if node["Alive"] and all(
            node["Resources"].get(kind, 0) >= count for kind, count in wanted.items()
        ):
            return
    shown = ", ".join(f"{count:g} {kind}" for kind, count in wanted.items() if count)
    raise ConfigError(
        f"train.ray: expected a machine of the cluster with {shown} for each worker, found none",
        "ray status shows what there is; OMP_NUM_THREADS says how many CPUs a worker takes",
    )
