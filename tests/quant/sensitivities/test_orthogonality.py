"""OMPQ's matrix against a direct computation, and what it must not depend on."""

import json

import numpy as np
import pytest
import torch

from quant.errors import BitAllocError
from quant.records.json_form import from_plain, to_plain
from quant.sensitivities import Orthogonality, orthogonality
from quant.sensitivities.orthogonality import similarity
from tests.quant.sensitivities.exact import small_batches, small_network


@pytest.mark.parametrize("centred", [True, False])
def test_matrix_is_the_direct_computation(centred: bool) -> None:
    """||Y'X||^2 / (||X'X|| ||Y'Y||) with the large d x d products that the Gram matrices avoid."""
    network, batches = small_network(), small_batches()
    found = orthogonality(network, iter(batches), centred=centred)
    features: dict[str, np.ndarray] = {}

    def keep(layer: str, value: torch.Tensor) -> torch.Tensor:
        flat = value.detach().flatten(1).double().numpy()
        features[layer] = flat - flat.mean(0) if centred else flat
        return value

    network.float_outputs(torch.cat([images for images, _ in batches]), computed=keep)
    assert found.layers == tuple(features) == ("stem", "inner", "skip", "head")
    for i, x in enumerate(features.values()):
        for j, y in enumerate(features.values()):
            direct = np.linalg.norm(y.T @ x) ** 2 / (
                np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
            )
            assert found.matrix[i][j] == pytest.approx(direct, rel=1e-6)
    assert found.images == found.samples == 12
    assert from_plain(Orthogonality, json.loads(json.dumps(to_plain(found)))) == found


def test_orthogonal_transforms_and_scales_of_features_change_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(20, 9, generator=generator, dtype=torch.float64)
    y = torch.randn(20, 6, generator=generator, dtype=torch.float64) + x[:, :6]
    rotation, _ = torch.linalg.qr(torch.randn(9, 9, generator=generator, dtype=torch.float64))
    for centred in (True, False):
        plain = similarity(x, y, centred=centred)
        assert 0 < plain < 1
        assert similarity(x @ rotation, y, centred=centred) == pytest.approx(plain, rel=1e-9)
        assert similarity(3.0 * x, y, centred=centred) == pytest.approx(plain, rel=1e-9)
        assert similarity(x @ rotation, x, centred=centred) == pytest.approx(1.0, rel=1e-9)
        stretched = x * torch.linspace(0.1, 3.0, 9, dtype=torch.float64)
        assert abs(similarity(stretched, y, centred=centred) - plain) > 1e-3


def test_orthogonal_features_are_unlike_and_constant_ones_are_like_none() -> None:
    basis = torch.eye(6)
    assert similarity(basis[:, :3], basis[:, 3:], centred=False) == pytest.approx(0.0, abs=1e-12)
    assert similarity(torch.ones(6, 2), basis) == 0.0


def test_progress_counts_layers_and_no_images_are_refused() -> None:
    seen: list[tuple[int, int]] = []
    orthogonality(
        small_network(), small_batches(), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(BitAllocError, match="at least one image"):
        orthogonality(small_network(), [])
