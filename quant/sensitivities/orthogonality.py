"""Orthogonality of layers: linear CKA between what they make of the same images, as in OMPQ."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from quant.network import QuantizedNetwork
from quant.records.progress import Progress
from quant.sensitivities.batches import Batch, keep_batches
from quant.tensors.moving import doubles, fetch


@dataclass(frozen=True, kw_only=True, slots=True)
class Orthogonality:
    """How alike the layers' features are: 0 for orthogonal ones, 1 for the same up to rotation.

    Products of two tensors are among the layers.
    """

    layers: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    """`[layers, layers]`, symmetric, ones on the diagonal."""
    images: int
    samples: int = 0
    """See `SensitivityTable`."""
    seconds: float = 0.0
    """Wall seconds that it took to compare them."""


@torch.no_grad()
def orthogonality(
    network: QuantizedNetwork,
    batches: Iterable[Batch],
    *,
    centred: bool = True,
    progress: Progress | None = None,
) -> Orthogonality:
    """Compare every two layers' outputs (before their activations) on the same images.

    Args:
        network: Calibrated; nothing of it is changed.
        batches: Images and labels. They go through the float network as one batch, because
            similarities of small batches are biased upwards; some dozens of images are enough.
        centred: Subtract each feature's mean over the images, which makes it linear CKA. Without,
            features that are all positive look alike whatever they do.
        progress: Called with (layers done, layers in all).

    Raises:
        BitAllocError: there are no images.

    Source: Ma et al. 2023, "OMPQ: Orthogonal Mixed Precision Quantization" (AAAI), section 3.1,
    whose code does not centre; Kornblith et al. 2019, "Similarity of Neural Network
    Representations Revisited", section 3, for linear CKA.
    """
    started = time.perf_counter()
    images = torch.cat([images for images, _ in keep_batches(batches)])
    names = tuple(layer.name for layer in network.layers)
    grams: dict[str, torch.Tensor] = {}

    def take(layer: str, value: torch.Tensor) -> torch.Tensor:
        grams[layer] = fetch(_gram(doubles(value.flatten(1)), centred))
        if progress:
            progress(len(grams), len(names))
        return value

    network.float_outputs(images, computed=take)
    matrix = _similarities([grams[name] for name in names])
    return Orthogonality(
        layers=names,
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        images=len(images),
        samples=len(images),
        seconds=time.perf_counter() - started,
    )


def similarity(first: torch.Tensor, second: torch.Tensor, *, centred: bool = True) -> float:
    """Return the linear CKA of two sets of features, `[N, d1]` and `[N, d2]`."""
    grams = [_gram(features.double(), centred) for features in (first, second)]
    return float(_similarities(grams)[0, 1])


def _gram(features: torch.Tensor, centred: bool) -> torch.Tensor:
    """Return the inner products of the images' features, `[N, N]`."""
    if centred:
        features = features - features.mean(0)
    return features @ features.T


def _similarities(grams: list[torch.Tensor]) -> torch.Tensor:
    """Return the cosines between Gram matrices; a layer that is constant is like no other."""
    flat = torch.stack([gram.flatten() for gram in grams])
    norms = flat.norm(dim=1, keepdim=True)
    flat = torch.where(norms > 0, flat / norms, 0.0)
    matrix = flat @ flat.T
    return matrix.fill_diagonal_(1.0)
