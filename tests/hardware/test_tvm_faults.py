"""Faults of TVM 0.27 that islands are kept away from: a test that passes lifts a rule."""

import numpy as np
import pytest
import torch
import tvm
from torch import nn
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program


class _Last(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1] * 2


@pytest.mark.xfail(strict=True, reason="TVM 0.27 reads other memory at negative indices")
def test_stock_tvm_takes_negative_indices() -> None:
    x = torch.arange(12.0).reshape(2, 3, 2)
    with torch.no_grad():
        program = torch.export.export(_Last(), (x,))
    module = from_exported_program(program, unwrap_unit_return_tuple=True)
    machine = relax.VirtualMachine(relax.build(module, "llvm"), tvm.cpu())
    found = machine["main"](tvm.runtime.tensor(x.numpy())).numpy()
    assert np.array_equal(found, _Last()(x).numpy())
