"""Networks as their users return them: unwrapped, cast, made plain; or refused in a sentence."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm
from torch.optim.swa_utils import AveragedModel

from env.errors import TaskError
from env.tasks import Task, TaskConfig, float_module, load_task
from quant.errors import CaptureError
from quant.network import prepare
from tests.quant.output_networks import EndingNet

IMAGES = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 3


def base() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
    )


def with_part(change: Callable[[nn.Module], Any]) -> Callable[[], nn.Module]:
    """Return what makes a network whose second convolution was changed."""

    def make() -> nn.Module:
        module = base()
        changed = change(module[3])
        if isinstance(changed, nn.Module):
            module[3] = changed
        return module

    return make


def used(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        module = make()
        module(IMAGES[:4])
        return module

    return made


class Whole(nn.Module):
    """A network that does something to what another one takes or makes."""

    def __init__(self, before: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner, self.before = base(), before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(self.before(x))
        return logits


def frozen(*, whole: bool) -> nn.Module:
    module = base()
    for value in module.parameters() if whole else module[0].parameters():
        value.requires_grad_(False)
    return module


def shared() -> nn.Module:
    parts = list(base())
    second = nn.Conv2d(4, 4, 3, padding=1)
    second.weight = parts[3].weight  # type: ignore[assignment]
    return nn.Sequential(*parts[:4], second, *parts[4:])


def hooked() -> nn.Module:
    module = base()
    module[3].register_forward_hook(lambda part, given, made: made * 2)
    return module


def compiled(module: nn.Module) -> nn.Module:
    made: Any = torch.compile(module)
    return made  # type: ignore[no-any-return]


def compiled_in_place() -> nn.Module:
    module = base()
    module.compile()
    return module


TAKEN: dict[str, Callable[[], nn.Module]] = {
    "parallel": lambda: nn.DataParallel(base()),
    "a part in parallel": with_part(nn.DataParallel),
    "compiled": lambda: compiled(base()),
    "compiled in place": compiled_in_place,
    "a part compiled": with_part(lambda part: compiled(part)),
    "parallel and compiled": lambda: nn.DataParallel(compiled(base())),
    "averaged": lambda: AveragedModel(base()),
    "half": lambda: base().half(),
    "bfloat16": lambda: base().bfloat16(),
    "double": lambda: base().double(),
    "a part in half": with_part(nn.Module.half),
    "weight norm of before": with_part(weight_norm),
    "weight norm of before, used": used(with_part(weight_norm)),
    "weight norm": with_part(parametrizations.weight_norm),
    "spectral norm of before": with_part(spectral_norm),
    "spectral norm": with_part(parametrizations.spectral_norm),
    "orthogonal": with_part(parametrizations.orthogonal),
    "pruned": with_part(lambda part: prune.l1_unstructured(part, "weight", 0.5)),
    "pruned by channels": with_part(lambda part: prune.ln_structured(part, "weight", 0.5, 2, 0)),
    "pruned in weights and biases": with_part(
        lambda part: [prune.random_unstructured(part, name, 0.5) for name in ("weight", "bias")]
    ),
    "hooked": hooked,
    "half frozen": lambda: frozen(whole=False),
    "all frozen": lambda: frozen(whole=True),
    "lazy": lambda: nn.Sequential(
        nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    ),
    "a part lazy": with_part(lambda part: nn.LazyConv2d(4, 3, padding=1)),
    "in training mode": lambda: base().train(),
    "weights that two layers share": shared,
}


def task_of(monkeypatch: pytest.MonkeyPatch, model: Callable[[], object], **changes: Any) -> Task:
    module = types.ModuleType("my_given")
    parts = {"train": (IMAGES, LABELS), "test": (IMAGES, LABELS)}
    vars(module).update(model=model, data=lambda: parts)
    monkeypatch.setitem(sys.modules, "my_given", module)
    values = {"epochs": 0, **changes}
    return load_task(TaskConfig(name="own", model="my_given:model", data="my_given:data", **values))


@pytest.mark.parametrize("kind", TAKEN)
def test_networks_as_they_are_given_compute_what_they_did(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    torch.manual_seed(0)
    given = TAKEN[kind]().eval()
    made = float_module(task_of(monkeypatch, TAKEN[kind]), 0)
    if "lazy" not in kind:  # their values are drawn when their shapes are known
        reference = given.float()(IMAGES) if "compiled" not in kind else base().eval()(IMAGES)
        torch.testing.assert_close(made(IMAGES), reference, rtol=1e-4, atol=1e-4)
    assert all(value.dtype == torch.float32 for value in made.parameters())
    assert not any("_orig" in name or "module." in name for name in made.state_dict())
    captured = prepare(made, IMAGES[:1])
    torch.testing.assert_close(captured.float_outputs(IMAGES), made(IMAGES), rtol=1e-4, atol=1e-4)


def test_what_two_layers_share_they_share_in_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module = float_module(task_of(monkeypatch, shared, epochs=1), 0)
    again = float_module(task_of(monkeypatch, shared, epochs=1), 0)
    assert isinstance(module, nn.Sequential)
    assert module[3].weight is module[4].weight
    assert torch.equal(module(IMAGES), again(IMAGES)), "kept as it was trained"


def test_what_shapes_the_weights_does_so_in_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    task = task_of(monkeypatch, TAKEN["pruned"], epochs=1)
    module = float_module(task, 0)
    assert isinstance(module, nn.Sequential)
    weight = module[3].weight
    assert isinstance(weight, torch.Tensor)
    assert int((weight == 0).sum()) == weight.numel() // 2
    again = float_module(task, 0)
    assert torch.equal(module(IMAGES), again(IMAGES)), "kept as it was trained"
    moved = float_module(task_of(monkeypatch, TAKEN["pruned"]), 0)
    assert not torch.equal(module(IMAGES), moved(IMAGES)), "training moves it"


def returns(thing: object) -> Callable[[], object]:
    return lambda: thing


def needs() -> object:
    raise TypeError("__init__() missing 1 required positional argument: 'num_classes'")


def with_nan() -> nn.Module:
    module = base()
    with torch.no_grad():
        module[7].bias[0] = float("nan")  # type: ignore[operator]
    return module


def on_meta() -> nn.Module:
    with torch.device("meta"):
        return base()


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a number": (returns(5), "to return a torch.nn.Module, found int"),
    "nothing": (returns(None), "found NoneType"),
    "a class": (returns(nn.Linear), "found type"),
    "a state dict": (lambda: base().state_dict(), "found OrderedDict"),
    "a program": (
        lambda: torch.export.export(base().eval(), (IMAGES[:2],)),
        "found ExportedProgram",
    ),
    "a class that needs something": (needs, "raised TypeError: .*'num_classes'"),
    "cuda": (
        lambda: base().to("cuda" if not torch.cuda.is_available() else "no-such-device"),
        "my_given:model raised",
    ),
    "scripted": (lambda: torch.jit.script(base()), "TorchScript program"),
    "traced": (lambda: torch.jit.trace(base().eval(), IMAGES[:2]), "TorchScript program"),
    "without values": (on_meta, "without values, on the meta device"),
    "NaN": (with_nan, "NaN or infinity in 7.bias"),
    "a forgotten dropout": (
        lambda: Whole(lambda x: functional.dropout(x, 0.5)),
        "something else of the same inputs each time",
    ),
    "noise": (
        lambda: Whole(lambda x: x + torch.randn_like(x)),
        "something else of the same inputs each time",
    ),
    "other channels": (
        lambda: nn.Conv2d(5, 3, 1),
        r"cannot take inputs \[N, 3, 8, 8\]: .*channels",
    ),
    "two inputs": (lambda: nn.Bilinear(3, 3, 3), r"one input, found Bilinear.forward\(input1, in"),
    "tokens": (
        lambda: nn.Sequential(nn.Flatten(), nn.Embedding(9, 3)),
        r"indices.*begin the forward pass with x.long\(\)",
    ),
    "maps": (lambda: nn.Conv2d(3, 3, 1), r"return \[N, classes\] .* found \[N, 3, 8, 8\]"),
    "maps before the logits": (
        lambda: EndingNet(lambda n, x: (n.last(n.features(x)), n.logits(x))),
        r"return \[N, classes\] .* found \[N, 6, 8, 8\]",
    ),
    "no tensor": (lambda: EndingNet(lambda n, x: {"logits": 3}), "returns tensors, found dict"),
    "too few outputs": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 2)),
        "as the network has 2 outputs",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_networks_that_cannot_be_worked_with_are_one_sentence(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message) as raised:
        task_of(monkeypatch, model)
    assert "\n" not in str(raised.value)


def test_a_frozen_network_is_not_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    task = task_of(monkeypatch, lambda: frozen(whole=True), epochs=1)
    with pytest.raises(TaskError, match="every parameter of my_given:model frozen") as raised:
        float_module(task, 0)
    assert "--task.epochs 0" in raised.value.hint
    task = task_of(monkeypatch, lambda: nn.Sequential(nn.AvgPool2d(8), nn.Flatten()), epochs=1)
    with pytest.raises(TaskError, match="my_given:model without parameters") as raised:
        float_module(task, 0)
    assert "ModuleList" in raised.value.hint


def test_a_network_is_captured_before_it_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    branching = Whole(lambda x: x if float(x.sum()) > 0 else -x)
    steps: list[int] = []
    task = task_of(monkeypatch, lambda: branching, epochs=1)
    with pytest.raises(CaptureError, match="cannot be captured"):
        float_module(task, 0, progress=lambda done, _: steps.append(done))
    assert not steps
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_network_in_place_of_its_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaskError, match="a function that returns a network, found a network"):
        task_of(monkeypatch, base())


def test_another_task_takes_no_network_of_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("my_given")
    vars(module).update(colour=base, two=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)))
    monkeypatch.setitem(sys.modules, "my_given", module)
    with pytest.raises(TaskError, match=r"cannot take inputs \[N, 1, 8, 8\]"):
        load_task(TaskConfig(model="my_given:colour"))
    with pytest.raises(TaskError, match="an output for each of 10 classes, found 2"):
        load_task(TaskConfig(model="my_given:two"))
