"""Steps that multiply in bfloat16 or lay images out otherwise, and all else that does not."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from env.evaluating.env_config import EnvConfig
from quant.convert import convert
from quant.integer import run_graph
from quant.network import QuantizedNetwork
from quant.retraining.finetune_config import FinetuneConfig
from quant.retraining.retrainer import Retrainer
from quant.tensors.arithmetic import FLOAT32, Arithmetic
from quant.tensors.moving import place
from quant.testing import TinyResidualNet, at_bits, prepare_calibrated, random_images
from quant.torch_integer import integer_outputs
from tests.quant.tensors.elsewhere import META, elsewhere

BFLOAT16 = Arithmetic(precision="bfloat16")
CHANNELS_LAST = Arithmetic(channels_last=True)
BOTH = Arithmetic(precision="bfloat16", channels_last=True)
CONFIG = FinetuneConfig(
    steps=4, batch_size=16, compensation_images=16, scale_images=16, held_back_images=12
)
IMAGES = random_images(60)
LABELS = torch.arange(60) % 5


class Convolutions(TorchDispatchMode):
    """Notes what convolutions multiply, forward and backward."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, torch.dtype, bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if name.startswith("aten.convolution"):
            image = args[1] if "backward" in name else args[0]
            last = image.is_contiguous(memory_format=torch.channels_last)
            self.found.append((name, image.dtype, last))
        return func(*args, **(kwargs or {}))


def network(arithmetic: Arithmetic) -> QuantizedNetwork:
    torch.manual_seed(0)
    made = at_bits(prepare_calibrated(TinyResidualNet().eval(), IMAGES[:24]), 4)
    made.arithmetic = arithmetic
    return made


def retrained(arithmetic: Arithmetic, **changes: Any) -> tuple[QuantizedNetwork, float | None]:
    made, config = network(arithmetic), replace(CONFIG, **changes)
    found = Retrainer(made, IMAGES, LABELS, config).retrain(made, seed=0)
    return made, found.trained_loss


def steps_of(arithmetic: Arithmetic) -> list[tuple[str, torch.dtype, bool]]:
    """Return the convolutions that went forward and back: those of training steps."""
    made, watched = network(arithmetic), Convolutions()
    with watched:
        with made.stepping():
            loss = made.train()(IMAGES[:8])
        loss.sum().backward()
    return watched.found


def test_steps_multiply_in_bfloat16_and_nothing_else_does() -> None:
    made = network(BFLOAT16)
    with Convolutions() as watched:
        Retrainer(made, IMAGES, LABELS, CONFIG).retrain(made, seed=0)
    back = {dtype for name, dtype, _ in watched.found if "backward" in name}
    assert back == {torch.bfloat16}
    assert {dtype for _, dtype, _ in watched.found} == {torch.bfloat16, torch.float32}
    with Convolutions() as watched:
        made(IMAGES[:8])
        made.float_outputs(IMAGES[:8])
    assert {dtype for _, dtype, _ in watched.found} == {torch.float32}


@pytest.mark.parametrize("arithmetic", [BFLOAT16, BOTH])
def test_values_between_layers_and_all_gradients_stay_float32(arithmetic: Arithmetic) -> None:
    made = network(arithmetic)
    with made.stepping():
        outputs = made.train()(IMAGES[:8])
    outputs.square().mean().backward()
    assert outputs.dtype == torch.float32
    gradients = [value.grad for value in made.parameters() if value.grad is not None]
    assert gradients
    assert {gradient.dtype for gradient in gradients} == {torch.float32}


def test_images_lie_channels_last_in_steps() -> None:
    last, usual = ([last for _, _, last in steps_of(each)] for each in (CHANNELS_LAST, FLOAT32))
    assert last[0]
    assert sum(last) > sum(usual)
    assert CHANNELS_LAST.lay(torch.ones(2, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("arithmetic", "tolerance"), [(CHANNELS_LAST, 1e-3), (BFLOAT16, 0.05), (BOTH, 0.05)]
)
def test_a_training_comes_to_about_the_same(arithmetic: Arithmetic, tolerance: float) -> None:
    expected, found = retrained(FLOAT32)[1], retrained(arithmetic)[1]
    assert expected is not None
    assert found == pytest.approx(expected, rel=tolerance)


def test_what_was_trained_so_is_scored_exactly() -> None:
    made, _ = retrained(BOTH, held_back_images=0)
    graph = convert(made)
    assert torch.equal(
        next(iter(integer_outputs(graph, IMAGES[:8]))),
        torch.from_numpy(run_graph(graph, IMAGES[:8].numpy())),
    )


@pytest.mark.parametrize("arithmetic", [BFLOAT16, CHANNELS_LAST, BOTH])
def test_steps_take_their_tensors_to_the_device(
    monkeypatch: pytest.MonkeyPatch, arithmetic: Arithmetic
) -> None:
    """Never run on a real one so far: no machine of this project has had any."""
    made = network(arithmetic)
    place(made, META)
    config = replace(CONFIG, compensation_images=0, steps=1, held_back_images=0)
    with elsewhere(monkeypatch) as watched:
        Retrainer(made, IMAGES, LABELS, config).retrain(made, seed=0)
    assert "aten.convolution_backward.default" in watched.there


def test_a_clone_computes_as_its_original_does() -> None:
    assert network(BOTH).clone().arithmetic == BOTH


def test_results_are_stored_by_how_they_were_computed() -> None:
    assert EnvConfig().arithmetic_key == {}
    found = EnvConfig(precision="bfloat16").arithmetic_key
    assert found == {"precision": "bfloat16", "channels_last": False}
