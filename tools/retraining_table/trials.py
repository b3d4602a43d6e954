"""Trials: retrain one network as the main job does, and see which images are right then."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from env.evaluating.evaluator import order_seed
from env.tasks import Split
from experiments.stages.network_setup import NetworkSetup
from quant.allocation import Allocation
from quant.convert import convert
from quant.errors import ConvertError, TrainingError
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrained import Kept
from quant.torch_integer import integer_logits

_TOGETHER = 250


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trial:
    """What became of one retraining."""

    network: QuantizedNetwork | None
    """None where it failed."""
    kept: Kept | None = None
    """None where there was no training."""
    error: str = ""


class Trials:
    """Retrains one network at one width after another.

    What was trained is kept until it is forgotten: the variant that the search split chooses is not
    trained again for the test split.
    """

    def __init__(self, setup: NetworkSetup) -> None:
        """Keep the network and its data, as the main job set them up."""
        self._setup = setup
        self._trials: dict[tuple[int, FinetuneConfig, int], Trial] = {}

    def retrained(self, bits: int, config: FinetuneConfig, seed: int) -> Trial:
        """Return what a run with this seed comes to at a uniform width."""
        key = (bits, config, seed)
        if key not in self._trials:
            self._trials[key] = self._retrain(bits, config, seed)
        return self._trials[key]

    def forget(self) -> None:
        """Free what was trained."""
        self._trials.clear()

    def _retrain(self, bits: int, config: FinetuneConfig, seed: int) -> Trial:
        network = self._setup.network.clone()
        network.set_allocation(Allocation.uniform(network.layers, bits))
        try:
            done = self._setup.retrainer(config).retrain(network, seed=order_seed(seed, 0))
        except TrainingError as error:
            return Trial(network=None, error=str(error))
        return Trial(network=network, kept=done.kept if config.steps else None)


def fake_quantized_hits(trial: Trial, split: Split) -> torch.Tensor:
    """Return which images are right on fake-quantized logits, bool `[N]`; none where it failed."""
    if trial.network is None:
        return torch.zeros(len(split), dtype=torch.bool)
    return hits(trial.network, split)


def integer_hits(trial: Trial, split: Split) -> torch.Tensor:
    """Return which images are right on integer codes, bool `[N]`; none where it failed."""
    if trial.network is None:
        return torch.zeros(len(split), dtype=torch.bool)
    try:
        graph = convert(trial.network)
    except ConvertError:  # a step that ran away; the main job gives such a candidate no accuracy
        return torch.zeros(len(split), dtype=torch.bool)
    return hits(lambda images: integer_logits(graph, images), split)


@torch.no_grad()
def hits(logits: Callable[[torch.Tensor], torch.Tensor], split: Split) -> torch.Tensor:
    """Return which images have their label's logit as the largest, bool `[N]`."""
    found = torch.cat([logits(images).argmax(1) for images in split.images.split(_TOGETHER)])
    return found == split.labels
