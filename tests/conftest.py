"""Fixtures for every folder: handwritten digits and a small network trained on them."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from sklearn.datasets import load_digits

from quant.network import QuantizedNetwork
from quant.retraining.float_training import TrainConfig, train_float
from quant.testing import TinyResidualNet, prepare_calibrated


@dataclass(frozen=True, kw_only=True, slots=True)
class Digits:
    """1797 normalised 8x8 digits, float32 `[N, 1, 8, 8]` with labels int64 `[N]`."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests wait for no training or timing of other processes here, nor these for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """SIGINT interrupts this process and its children, also in a background job of a shell.

    A shell starts such a job with SIGINT ignored, and what it starts inherits that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def digits() -> Digits:
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    images = (images - images.mean()) / images.std()
    labels = torch.tensor(data.target, dtype=torch.int64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:1097], order[1097:]
    return Digits(
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )


@pytest.fixture(scope="session")
def trained_net(digits: Digits) -> TinyResidualNet:
    """A float network at 97 % or so; do not change it."""
    torch.manual_seed(0)
    net = TinyResidualNet()
    config = TrainConfig(epochs=6, learning_rate=0.05)
    train_float(net, digits.train_images, digits.train_labels, config, seed=0)
    return net.eval()


@pytest.fixture(scope="session")
def _calibrated(trained_net: TinyResidualNet, digits: Digits) -> QuantizedNetwork:
    return prepare_calibrated(trained_net, digits.train_images[:256])


@pytest.fixture
def network(_calibrated: QuantizedNetwork) -> QuantizedNetwork:
    """The trained network with calibrated quantizers; each test has its own copy."""
    return _calibrated.clone()
