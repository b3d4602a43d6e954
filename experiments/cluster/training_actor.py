"""TrainingActor: a process of the cluster that holds the float checkpoint and retrains from it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluator import Evaluator
from env.evaluating.training_pool import LookedAt, TrainedCandidate
from env.tasks import Split
from hardware.measuring.lock import training_lock
from hardware.measuring.protocol import ProtocolConfig
from hardware.simulated import SimulatedDevice
from quant.allocation import Allocation
from quant.errors import BitAllocError
from quant.network import QuantizedNetwork
from quant.objective.objective import Objective
from quant.retraining.loop import Augment
from quant.sensitivities.batches import batches_of
from quant.sensitivities.curvatures import Curvatures, Signs, some_curvatures
from quant.sensitivities.measured import losses_at
from quant.tensors.devices import CPU, choose_device
from quant.tensors.moving import device_of, place


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainingJob:
    """Everything but the allocation that decides what a retraining comes to."""

    network: QuantizedNetwork
    """Calibrated, at the float checkpoint, on the CPU."""
    train: Split
    search: Split
    config: EnvConfig
    """Its device is one that is there."""
    objective: Objective
    augment: Augment | None
    seed: int
    threads: int
    """Of PyTorch: with another number sums have another order."""

    @classmethod
    def of(
        cls,
        network: QuantizedNetwork,
        train: Split,
        search: Split,
        config: EnvConfig,
        *,
        objective: Objective,
        augment: Augment | None,
        seed: int,
    ) -> "TrainingJob":
        """Return the job of a network, wherever that is."""
        device, network = device_of(network), network.clone()
        place(network, CPU)
        return cls(
            network=network,
            train=train,
            search=search,
            config=replace(config, device=str(device)),
            objective=objective,
            augment=augment,
            seed=seed,
            threads=torch.get_num_threads(),
        )

    def take_network(self) -> QuantizedNetwork:
        """Return a copy of the network where this machine trains; it may be trained and changed.

        PyTorch has the job's number of threads from then on.
        """
        torch.set_num_threads(self.threads)
        network = self.network.clone()
        place(network, choose_device(self.config.device))
        return network


class TrainingActor:
    """Retrains one candidate after another; each comes to what it does anywhere."""

    def __init__(self, job: TrainingJob) -> None:
        """Take the job, and nothing of this machine but its device."""
        self._job, self._network = job, job.take_network()
        self._evaluator = Evaluator(
            self._network.clone(),
            SimulatedDevice(ProtocolConfig()),  # nothing is measured here
            job.train,
            job.search,
            job.config,
            seed=job.seed,
            limit=1,
            objective=job.objective,
            augment=job.augment,
        )

    def train(self, allocation: Allocation, repeat: int) -> TrainedCandidate | BitAllocError:
        """Return what a retraining came to; an error that is a candidate's own is a value, too.

        While a program is timed on this machine, it waits.
        """
        started = time.perf_counter()
        try:
            with training_lock():
                trained = self._evaluator.train_and_score(allocation, repeat)
        except BitAllocError as error:
            return error
        return replace(trained, seconds=time.perf_counter() - started)

    def losses(
        self, images: LookedAt, allocations: Sequence[Allocation]
    ) -> list[float] | BitAllocError:
        """Return the mean loss of the network at the float checkpoint at each allocation."""
        split = self._split(images)
        batches = batches_of(split.images, split.labels, images.batch)
        try:
            with training_lock():
                loss = self._job.objective.loss
                return list(losses_at(self._network, allocations, batches, loss))
        except BitAllocError as error:
            return error

    def curvatures(
        self, images: LookedAt, signs: Signs, number: int, blocks: range
    ) -> Curvatures | BitAllocError:
        """Return the curvatures of some blocks of the float network on one batch, from 0 on."""
        split, size = self._split(images), images.batch
        try:
            some = split.pick(torch.arange(len(split))[number * size : (number + 1) * size])
            (batch,) = batches_of(some.images, some.labels, size)
            with training_lock():
                return some_curvatures(
                    self._network,
                    batch,
                    signs,
                    blocks,
                    number=number,
                    size=size,
                    loss=self._job.objective.loss,
                )
        except BitAllocError as error:
            return error

    def _split(self, images: LookedAt) -> Split:
        split = self._job.train if images.split == "train" else self._job.search
        return split if images.numbers is None else split.pick(images.numbers)
