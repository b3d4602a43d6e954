import math
from typing import Any

import pytest
import torch

from quant.errors import TrainingError
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.float_training import TrainConfig, train_float
from quant.testing import TinyResidualNet, at_bits, retrain

PLAIN = {"steps": 6, "compensation_images": 0, "held_back_images": 0}


def train(network: QuantizedNetwork, digits: Any, seed: int = 0, **config: Any) -> Any:
    settings = FinetuneConfig(**(PLAIN | config))
    return retrain(network, digits.train_images, digits.train_labels, settings, seed=seed)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    other = b.state_dict()
    return all(torch.equal(value, other[name]) for name, value in a.state_dict().items())


def test_one_seed_gives_one_result(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 4)
    networks = [network, network.clone(), network.clone()]
    results = [train(n, digits, seed) for n, seed in zip(networks, (5, 5, 6), strict=True)]
    assert results[0].loss == results[1].loss != results[2].loss
    assert same(networks[0], networks[1])
    assert not same(networks[0], networks[2])


def test_the_global_seed_does_not_matter(network: QuantizedNetwork, digits: Any) -> None:
    twin = at_bits(network, 4).clone()
    torch.manual_seed(1)
    train(network, digits)
    torch.manual_seed(2)
    train(twin, digits)
    assert same(network, twin)


def test_retraining_recovers_what_two_bits_lose(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 2)
    with torch.no_grad():
        before = torch.nn.functional.cross_entropy(network(digits.test_images), digits.test_labels)
    result = train(network, digits, steps=30)
    with torch.no_grad():
        after = torch.nn.functional.cross_entropy(network(digits.test_images), digits.test_labels)
    assert float(after) < 0.7 * float(before)
    assert result.kept == "trained"
    assert result.loss is not None
    assert result.loss < float(before)


def test_weights_go_on_from_where_they_were(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 3)
    start = network.layer("head").weight.detach().clone()
    train(network, digits)
    middle = network.layer("head").weight.detach().clone()
    train(network, digits, steps=1, learning_rate=1e-9)
    end = network.layer("head").weight.detach()
    assert not torch.equal(start, middle)
    torch.testing.assert_close(end, middle, rtol=0, atol=1e-6)
    assert int(network.trained_steps) == 7


def test_every_parameter_in_use_is_trained(network: QuantizedNetwork, digits: Any) -> None:
    at_bits(network, 3)
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    train(network, digits)
    unchanged = {n for n, value in network.named_parameters() if torch.equal(before[n], value)}
    # The input's one 8-bit step serves every allocation and is not learned.
    assert unchanged == {f"tensor_modules.{network.graph.input}.steps"}


def test_no_steps_change_nothing(network: QuantizedNetwork, digits: Any) -> None:
    twin = at_bits(network, 3).clone()
    result = train(network, digits, steps=0, scale_images=0)
    assert result.loss is None
    assert same(network, twin)
    assert not network.training


def test_progress_counts_to_the_end(network: QuantizedNetwork, digits: Any) -> None:
    seen: list[tuple[int, int]] = []
    retrain(
        at_bits(network, 4),
        digits.train_images,
        digits.train_labels,
        FinetuneConfig(steps=3, compensation_images=0),
        seed=0,
        progress=lambda done, total: seen.append((done, total)),
    )
    # Three trainings of three steps: the two of the range test come before the first.
    assert seen == [(step, 9) for step in range(1, 10)]


def test_a_loss_that_is_no_number_stops(network: QuantizedNetwork, digits: Any) -> None:
    with torch.no_grad():
        network.layer("classifier").bias[0] = math.nan
    with pytest.raises(TrainingError, match=r"loss became nan.*learning rate"):
        train(network, digits)


@pytest.mark.parametrize("config", [FinetuneConfig, TrainConfig])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("momentum", -0.1),
        ("weight_decay", -1e-4),
    ],
)
def test_settings_that_cannot_train_are_refused(config: Any, name: str, value: float) -> None:
    with pytest.raises(TrainingError, match=f"{name}: expected"):
        config(**{name: value})


def test_each_config_checks_its_own_settings() -> None:
    with pytest.raises(TrainingError, match="steps: expected at least 0"):
        FinetuneConfig(steps=-1)
    with pytest.raises(TrainingError, match="step_learning_rate: expected more than 0"):
        FinetuneConfig(step_learning_rate=0)
    with pytest.raises(TrainingError, match="compensation_images: expected at least 0"):
        FinetuneConfig(compensation_images=-1)
    with pytest.raises(TrainingError, match="epochs: expected at least 0"):
        TrainConfig(epochs=-1)


def test_float_training_learns(trained_net: TinyResidualNet, digits: Any) -> None:
    with torch.no_grad():
        right = trained_net(digits.test_images).argmax(1) == digits.test_labels
    assert float(right.float().mean()) > 0.95
    assert not trained_net.training


def test_float_training_repeats_for_one_seed(digits: Any) -> None:
    def trained(seed: int) -> TinyResidualNet:
        torch.manual_seed(0)
        net = TinyResidualNet()
        net.dropout.p = 0.0  # dropout draws from the global generator
        train_float(
            net,
            digits.train_images[:200],
            digits.train_labels[:200],
            TrainConfig(epochs=1),
            seed=seed,
            augment=lambda x, generator: x + torch.randn(x.shape, generator=generator) * 0.1,
        )
        return net

    first = trained(3)
    assert same(first, trained(3))
    assert not same(first, trained(4))


def test_float_training_stops_at_a_loss_that_is_no_number(digits: Any) -> None:
    net = TinyResidualNet()
    config = TrainConfig(epochs=2, learning_rate=1e30)
    with pytest.raises(TrainingError, match="loss became"):
        train_float(net, digits.train_images[:200], digits.train_labels[:200], config, seed=0)
