import numpy as np
import torch
from torch import nn

from hardware.target import TargetConfig
from hardware.worker.program.ordinary_tvm import build_ordinary


def test_ordinary_tvm_computes_the_float_network() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    module(torch.randn(32, 1, 4, 4))  # batch norm gets statistics to be folded
    module.eval()
    x = torch.randn(1, 1, 4, 4)
    program = build_ordinary(torch.export.export(module, (x,)), TargetConfig())
    assert program.import_s > 0
    assert program.build_s > 0
    # Float32 sums in another order: a few units in the last place.
    np.testing.assert_allclose(program.run(x.numpy()), module(x).detach().numpy(), rtol=1e-5)
