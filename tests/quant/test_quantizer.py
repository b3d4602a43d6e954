import pytest
import torch

from quant.quantizer import (
    STALE_AFTER_STEPS,
    WIDTHS,
    ActivationQuantizer,
    WeightQuantizer,
    fake_quantize,
    is_stale,
    mark_trained,
    weight_limit,
)


def lsq_gradients(
    x: list[float], step: float, low: int, high: int, gradient: list[float]
) -> tuple[list[float], float]:
    """Esser et al. 2020, equations 3 and 5, one value at a time and without the gain."""
    of_x, of_step = [], 0.0
    for value, incoming in zip(x, gradient, strict=True):
        ratio = value / step
        if ratio < low or ratio > high:
            of_x.append(0.0)
            of_step += incoming * (low if ratio < low else high)
        else:
            of_x.append(incoming)
            of_step += incoming * (round(ratio) - ratio)
    return of_x, of_step


def test_gradients_are_those_of_the_paper() -> None:
    values, gradient = [-3.0, -0.9, -0.26, 0.0, 0.3, 0.74, 0.8, 5.0], [1.0, -2, 3, 4, -5, 6, 7, 8]
    x = torch.tensor(values, requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    result = fake_quantize(x, step, -2, 1, values=len(values))
    torch.testing.assert_close(result, torch.tensor([-1.0, -1.0, -0.5, 0.0, 0.5, 0.5, 0.5, 0.5]))
    result.backward(torch.tensor(gradient))
    of_x, of_step = lsq_gradients(values, 0.5, -2, 1, gradient)
    assert x.grad is not None
    assert step.grad is not None
    assert x.grad.tolist() == of_x
    assert float(step.grad) == pytest.approx(of_step / (len(values) * 1) ** 0.5, rel=1e-6)


def test_each_channels_step_has_its_own_gradient() -> None:
    torch.manual_seed(0)
    x, gradient = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2)
    steps = torch.tensor([0.1, 0.4, 0.9], requires_grad=True)
    fake_quantize(x, steps.reshape(3, 1, 1, 1), -3, 3, values=8).backward(gradient)
    assert steps.grad is not None
    for channel in range(3):
        _, expected = lsq_gradients(
            x[channel].flatten().tolist(),
            float(steps[channel].detach()),
            -3,
            3,
            gradient[channel].flatten().tolist(),
        )
        assert float(steps.grad[channel]) == pytest.approx(expected / (8 * 3) ** 0.5, rel=1e-4)


def test_ties_round_to_even() -> None:
    x = torch.tensor([0.5, 1.5, 2.5, -0.5, -1.5])
    result = fake_quantize(x, torch.tensor(1.0), -8, 7)
    assert result.tolist() == [0.0, 2.0, 2.0, 0.0, -2.0]


@pytest.mark.parametrize("bits", WIDTHS)
def test_weights_are_symmetric(bits: int) -> None:
    quantizer, weight = WeightQuantizer(5), torch.randn(5, 4, 3, 3)
    quantizer.initialise(weight, bits)
    with torch.no_grad():
        codes = quantizer(weight, bits) / quantizer.step(bits).reshape(-1, 1, 1, 1)
    assert float((codes - codes.round()).abs().max()) < 1e-4
    assert float(codes.abs().max()) <= weight_limit(bits) + 1e-4
    assert len(codes.round().unique()) <= 2**bits - 1


@torch.no_grad()
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("groups", [1, 8])
def test_steps_are_refined_to_what_the_outputs_lose_least_by(bits: int, groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 24, generator=generator)
    # Inputs that share their brightness: a channel's rounding errors add up over it.
    windows = torch.randn(groups, 128, 24, generator=generator) / 8 + 3

    def output_error(quantizer: WeightQuantizer) -> torch.Tensor:
        errors = (quantizer(weight, bits) - weight).reshape(groups, -1, 24)
        return torch.bmm(windows, errors.transpose(1, 2)).square().mean(1).flatten()

    plain, refined = WeightQuantizer(8), WeightQuantizer(8)
    plain.initialise(weight, bits)
    refined.initialise(weight, bits, windows)
    assert bool((output_error(refined) <= output_error(plain)).all())
    assert float(output_error(refined).sum()) < 0.5 * float(output_error(plain).sum())
    ratio = refined.step(bits) / plain.step(bits)
    assert 0.94 < float(ratio.min()) <= float(ratio.max()) < 1.26


def test_inputs_that_are_always_zero_leave_the_steps_alone() -> None:
    weight, plain, refined = torch.randn(3, 7), WeightQuantizer(3), WeightQuantizer(3)
    plain.initialise(weight, 4)
    refined.initialise(weight, 4, torch.zeros(1, 128, 7))
    assert torch.equal(refined.steps, plain.steps)


def test_a_width_leaves_the_other_widths_alone() -> None:
    weights, activations = WeightQuantizer(3), ActivationQuantizer()
    before = [weights.steps.detach().clone(), activations.steps.detach().clone()]
    weights.initialise(torch.randn(3, 7), 4)
    activations.initialise(torch.rand(100), 4)
    steps = [weights.steps, activations.steps]
    for now, old in zip(steps, before, strict=True):
        changed = (now.detach() != old).reshape(len(WIDTHS), -1).any(1)
        assert changed.tolist() == [bits == 4 for bits in WIDTHS]


def test_training_one_width_gives_no_gradient_to_the_others() -> None:
    quantizer = ActivationQuantizer()
    quantizer.initialise(torch.rand(100), 3)
    quantizer(torch.rand(4, 10), 3).sum().backward()
    assert quantizer.steps.grad is not None
    assert [bool(g) for g in quantizer.steps.grad] == [bits == 3 for bits in WIDTHS]


@torch.no_grad()
@pytest.mark.parametrize("bits", [2, 3])
def test_the_initial_range_beats_the_largest_magnitude(bits: int) -> None:
    torch.manual_seed(0)
    weight, values = torch.randn(6, 200), torch.randn(5000).relu()
    weights, activations = WeightQuantizer(6), ActivationQuantizer()
    weights.initialise(weight, bits)
    activations.initialise(values, bits)
    limit, levels = weight_limit(bits), 2**bits - 1
    naive = fake_quantize(weight, weight.abs().amax(1, keepdim=True) / limit, -limit, limit)
    found = (weights(weight, bits) - weight).square().mean(1)
    assert bool((found < (naive - weight).square().mean(1)).all())
    naive = fake_quantize(values, values.max() / levels, 0, levels)
    error = (activations(values[None], bits)[0] - values).square().mean()
    assert float(error) < 0.9 * float((naive - values).square().mean())


@torch.no_grad()
@pytest.mark.parametrize("bits", WIDTHS)
def test_zero_points(bits: int) -> None:
    quantizer, generator = ActivationQuantizer(), torch.Generator().manual_seed(0)
    positive = torch.rand(1000, generator=generator)
    quantizer.initialise(positive, bits)
    assert quantizer.zero_point(bits) == 0
    quantizer.initialise(-positive, bits)
    assert quantizer.zero_point(bits) == 2**bits - 1
    quantizer.initialise(positive - 0.5, bits)
    assert abs(quantizer.zero_point(bits) - (2**bits - 1) / 2) <= 1
    assert float(quantizer(torch.zeros(1, 1), bits)) == 0.0  # what padding writes


@torch.no_grad()
@pytest.mark.parametrize("sample", [torch.zeros(50), torch.full((50,), -1e-20), torch.ones(1)])
def test_steps_are_positive_whatever_the_data_is(sample: torch.Tensor) -> None:
    weights, activations = WeightQuantizer(1), ActivationQuantizer()
    for bits in WIDTHS:
        weights.initialise(sample[None], bits)
        activations.initialise(sample, bits)
        assert float(weights.step(bits)) > 0
        assert float(activations.step(bits)) > 0
        assert bool(activations(sample[None], bits).isfinite().all())


@torch.no_grad()
def test_more_bits_never_quantize_worse() -> None:
    torch.manual_seed(1)
    weight, values = torch.randn(4, 300), torch.randn(4000)
    weights, activations = WeightQuantizer(4), ActivationQuantizer()
    errors = []
    for bits in WIDTHS:
        weights.initialise(weight, bits)
        activations.initialise(values, bits)
        errors.append(
            (
                float((weights(weight, bits) - weight).square().mean()),
                float((activations(values[None], bits) - values).square().mean()),
            )
        )
    assert errors == sorted(errors, reverse=True)
    assert [error[1] for error in errors] == sorted((e[1] for e in errors), reverse=True)


@pytest.mark.parametrize("quantizer", [WeightQuantizer(2), ActivationQuantizer()])
def test_a_width_is_stale_after_the_stated_steps(
    quantizer: WeightQuantizer | ActivationQuantizer,
) -> None:
    assert is_stale(quantizer, 4, 0)  # never initialised
    mark_trained(quantizer, 4, 10)
    assert not is_stale(quantizer, 4, 10)
    assert not is_stale(quantizer, 4, 10 + STALE_AFTER_STEPS)
    assert is_stale(quantizer, 4, 11 + STALE_AFTER_STEPS)
    assert is_stale(quantizer, 5, 10)
