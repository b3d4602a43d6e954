"""A network of one's own with several outputs, an auxiliary one in training alone, and its data."""

from typing import Any

import numpy as np
import torch

from tests.quant.output_networks import IMAGE, EndingNet

CLASSES = 3


def _detect(net: EndingNet, x: torch.Tensor) -> dict[str, Any]:
    features = net.features(x)
    pooled = features.mean((2, 3))
    found = {"boxes": net.locate(pooled), "logits": net.classify(pooled)}
    if net.training:
        return found | {"auxiliary": net.classify(net.stem(x).mean((2, 3)))}
    return found | {"features": (features, net.last(features))}


def network() -> EndingNet:
    """Boxes, logits and features."""
    return EndingNet(_detect)


def auxiliary() -> EndingNet:
    """Logits, and others beside them in training alone."""
    return EndingNet(
        lambda n, x: (n.logits(x), n.locate(n.stem(x).mean((2, 3)))) if n.training else n.logits(x)
    )


def one() -> EndingNet:
    """Logits alone."""
    return EndingNet(EndingNet.logits)


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Noise that is brighter in one of three channels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=400)
    inputs = rng.normal(0, 0.5, (400, *IMAGE)).astype(np.float32)
    inputs[np.arange(400), labels] += 1
    return {"train": (inputs[:300], labels[:300]), "test": (inputs[300:], labels[300:])}
