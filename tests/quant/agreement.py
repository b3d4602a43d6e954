"""What retraining, the numpy reference and the torch reference say of one network is one thing."""

import numpy as np
import torch

from quant.convert import convert
from quant.integer import run_graph
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import random_allocation, retrain
from quant.torch_integer import integer_logits


def check_agreement(network: QuantizedNetwork, images: torch.Tensor, *, classes: int) -> None:
    """Retrain at two random allocations, and compare what each path computes."""
    rng = np.random.default_rng(1)
    for _ in range(2):
        network.set_allocation(random_allocation(network.layers, rng))
        labels = torch.arange(len(images)) % classes
        retrain(network, images, labels, FinetuneConfig(steps=3, batch_size=8), seed=0)
        graph = convert(network)
        reference = run_graph(graph, images.numpy())
        assert np.array_equal(integer_logits(graph, images).numpy(), reference)
        with torch.no_grad():
            fake = network(images).numpy()
        # Codes may differ by one where QAT's float sums round another way (docs/integers.md).
        assert np.abs(fake - reference).max() < 0.05 * max(1.0, float(np.abs(reference).max()))
