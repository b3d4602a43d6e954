"""Float training: what a recipe does to the rate and to the parameters."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from quant.retraining.float_training import TrainConfig, train_float

_ADAMW = TrainConfig(epochs=1, learning_rate=1e-2, optimizer="adamw", weight_decay=0.5)


def _trained(config: TrainConfig) -> tuple[nn.Linear, nn.Linear]:
    """Train a Linear, of which half the inputs are zeros, for one step; return it and its start."""
    torch.manual_seed(0)
    module, start = nn.Linear(8, 3), nn.Linear(8, 3)
    start.load_state_dict(module.state_dict())
    images = torch.randn(16, 8)
    images[:, 4:] = 0.0
    train_float(module, images, torch.arange(16) % 3, config, seed=0)
    return module, start


def test_adamw_decays_matrices_and_no_vectors() -> None:
    module, start = _trained(_ADAMW)
    with torch.no_grad():
        unread = module.weight[:, 4:] / start.weight[:, 4:]
        torch.testing.assert_close(unread, torch.full((3, 4), 1 - 1e-2 * 0.5))
        moved = (module.bias - start.bias).abs()
    torch.testing.assert_close(moved, torch.full((3,), 1e-2), rtol=1e-3, atol=1e-6)


def test_the_rate_rises_before_it_falls() -> None:
    images, labels = torch.randn(640, 8), torch.arange(640) % 3
    moved = []
    for warm_up in (0.0, 0.5):
        torch.manual_seed(0)
        module = nn.Linear(8, 3)
        before = module.bias.detach().clone()
        config = replace(_ADAMW, batch_size=64, warm_up=warm_up)

        def note(
            step: int, total: int, kept: nn.Linear = module, of: torch.Tensor = before
        ) -> None:
            if step == 1:
                moved.append(float((kept.bias.detach() - of).abs().max()))

        train_float(module, images, labels, config, seed=0, progress=note)
    assert moved[0] == pytest.approx(1e-2, rel=1e-3)
    assert moved[1] == pytest.approx(1e-2 / 6, rel=1e-3)  # the first of five rising steps
