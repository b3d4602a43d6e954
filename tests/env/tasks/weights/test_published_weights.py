"""Weights as they are published load under any wrapper; what is none is refused in a sentence."""

import argparse
import os
import pickle
import zipfile
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from env.tasks.networks.cifar_resnet import cifar_resnet
from env.tasks.weights.fit import Weights, fit_weights, load_weights, read_weights
from quant.errors import DataError


class Net(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        logits: torch.Tensor = self.fc(x.mean((2, 3)))
        return logits


def state(classes: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    return Net(classes).state_dict()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in state().items()}


def renamed(old: str, new: str) -> dict[str, torch.Tensor]:
    return {name.replace(old, new): value for name, value in state().items()}


def saved(folder: Path, document: object) -> Path:
    torch.save(document, folder / "w.pth")
    return folder / "w.pth"


def read(file: Path) -> Weights:
    return fit_weights(read_weights(file), Net())


TAKEN: dict[str, Callable[[], object]] = {
    **{
        f"prefix {prefix}": lambda prefix=prefix: prefixed(prefix)  # type: ignore[misc]
        for prefix in (
            *("module.", "model.", "net.", "_orig_mod.module.", "module._orig_mod."),
            *("backbone.", "module.encoder.model.", "model.module.net."),
        )
    },
    **{
        f"under {key}": lambda key=key: {"epoch": 3, key: prefixed("module.")}  # type: ignore[misc]
        for key in (
            *("state_dict", "model", "net", "params", "model_state_dict", "ema", "state_dict_ema"),
            *("model_ema", "params_ema", "generator"),
        )
    },
    "nested twice": lambda: {"checkpoint": {"ema": {"module": state()}}, "epoch": 3},
    "with an optimizer": lambda: {
        "state_dict": state(),
        "optimizer": torch.optim.Adam(Net().parameters()).state_dict(),
        "best_acc1": torch.tensor(71.0),
    },
    "a callback's tensors": lambda: {
        "state_dict": prefixed("model."),
        "callbacks": {"checkpoint": {"best_model_score": torch.tensor(0.7)}},
    },
    "a namespace and numpy": lambda: {
        "state_dict": state(),
        "args": argparse.Namespace(lr=0.1),
        "metric": np.float64(0.9),
        "where": Path("somewhere"),
    },
    "a dictionary with defaults": lambda: {
        "state_dict": state(),
        "meters": defaultdict(int, {"top1": 71}),
        "saved": datetime.now(),
        "losses": np.ones(3),
    },
    "pairs": lambda: list(state().items()),
    "half": lambda: {k: v.half() if v.is_floating_point() else v for k, v in state().items()},
    "bfloat16": lambda: {
        k: v.bfloat16() if v.is_floating_point() else v for k, v in state().items()
    },
    "double": lambda: {k: v.double() if v.is_floating_point() else v for k, v in state().items()},
    "thop": lambda: state() | {"total_ops": torch.zeros(1), "conv1.total_params": torch.zeros(1)},
    "a loss": lambda: prefixed("net.") | {"loss_fn.weight": torch.ones(3)},
    "a loss beside": lambda: state() | {"criterion.weight": torch.ones(3)},
    "an auxiliary head": lambda: state() | {"aux_classifier.weight": torch.ones(3)},
    "no counters": lambda: {k: v for k, v in state().items() if "num_batches" not in k},
    "a linear head": lambda: renamed("fc.", "linear."),
    "a classifier after a dropout": lambda: renamed("fc.", "classifier.1."),
    "a head under a prefix": lambda: {
        f"module.{name}": value for name, value in renamed("fc.", "head.").items()
    },
    "a part wrapped by itself": lambda: renamed("conv1.", "conv1.module."),
    "an averaged model": lambda: prefixed("module.") | {"n_averaged": torch.tensor(3)},
    "plain tensors beside a network's class": lambda: {"state_dict": state(), "extra": Net()},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_published_weights_load(tmp_path: Path, kind: str) -> None:
    weights = read(saved(tmp_path, TAKEN[kind]()))
    made = Net()
    made.load_state_dict(weights.state, strict=False)
    loose = 0.01 if kind == "bfloat16" else 1e-3
    for name, value in state().items():
        if "num_batches" in name:
            continue
        assert made.state_dict()[name].dtype == value.dtype
        assert weights.state[name].dtype == value.dtype
        torch.testing.assert_close(weights.state[name], value, rtol=loose, atol=loose)


def test_what_was_renamed_is_listed(tmp_path: Path) -> None:
    document = {f"module.{k}": v for k, v in renamed("fc.", "linear.").items()}
    weights = read(saved(tmp_path, {"net": document | {"loss_fn.weight": torch.ones(3)}}))
    assert weights.notes == (
        "weights: 'net' of w.pth",
        "weights: names taken without module.",
        "weights: taken module.linear.weight as fc.weight, module.linear.bias as fc.bias",
        "weights: left out loss_fn.weight, for which the network has no layer",
    )
    assert not read(saved(tmp_path, state())).notes


def test_averaged_weights_come_before_those_of_the_last_step(tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in state().items()}
    weights = read(saved(tmp_path, {"state_dict": other, "state_dict_ema": state()}))
    assert torch.equal(weights.state["fc.weight"], state()["fc.weight"])
    assert weights.notes == ("weights: 'state_dict_ema' of w.pth",)


def test_a_network_with_a_name_in_front_takes_plain_weights(tmp_path: Path) -> None:
    whole = nn.Sequential()
    whole.add_module("model", Net())
    nested = fit_weights(read_weights(saved(tmp_path, prefixed("ema.model."))), whole)
    assert torch.equal(nested.state["model.fc.weight"], state()["fc.weight"])
    weights = fit_weights(read_weights(saved(tmp_path, prefixed("backbone."))), whole)
    assert torch.equal(weights.state["model.fc.weight"], state()["fc.weight"])


def test_safetensors_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "pytorch_model.bin")
    assert torch.equal(read(tmp_path / "pytorch_model.bin").state["fc.bias"], state()["fc.bias"])


def scripted(file: Path) -> None:
    torch.jit.script(Net()).save(file)


def traced(file: Path) -> None:
    torch.jit.trace(Net().eval(), torch.zeros(1, 3, 8, 8)).save(file)


def exported(file: Path) -> None:
    torch.export.save(torch.export.export(Net().eval(), (torch.zeros(2, 3, 8, 8),)), file)


def broken_network(name: str, value: float) -> Callable[[], object]:
    def make() -> object:
        wrong = {key: tensor.clone() for key, tensor in state().items()}
        wrong[name].view(-1)[0] = value
        return wrong

    return make


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch evil-ran",))


DOCUMENTS: dict[str, tuple[Callable[[], object], str]] = {
    "a whole network": (Net, r"holds a whole network, a pickled .*Net, not a state dict"),
    "a whole network inside": (lambda: {"model": Net(), "epoch": 1}, "holds a whole network"),
    "a wrapped network": (lambda: nn.DataParallel(Net()), "holds a whole network"),
    "code": (lambda: {"state_dict": state(), "x": Evil()}, "holds other objects than tensors"),
    "a number": (lambda: 5, "expected a state dict, tensors by name, found a int"),
    "a tensor": (lambda: torch.zeros(3), "found a Tensor"),
    "nameless tensors": (lambda: list(state().values()), "found a list"),
    "no tensors": (lambda: {"epoch": 3, "lr": 0.1}, "found a dictionary of epoch, lr"),
    "nothing": (dict, "found an empty dictionary"),
    "two networks": (
        lambda: {"netG": state(), "netD": state()},
        "expected one state dict, found several: netG, netD",
    ),
    "a teacher and a student": (
        lambda: prefixed("teacher.") | prefixed("student."),
        r"fits the network in several ways: teacher\.\*, student\.\*",
    ),
    "a NaN": (broken_network("conv1.weight", float("nan")), "found 1 of 216 in conv1.weight NaN"),
    "an infinity": (broken_network("bn1.running_var", float("inf")), "bn1.running_var NaN or inf"),
    "beyond float32": (
        lambda: {k: v.double() * 1e60 for k, v in state().items()},
        "NaN or infinite",
    ),
    "a thousand classes": (lambda: state(1000), r"fc.weight of shape \[3, 8\], found \[1000, 8\]"),
    "a thousand under another name": (
        lambda: {k.replace("fc.", "linear."): v for k, v in state(1000).items()},
        r"expected fc.weight of shape \[3, 8\], found \[1000, 8\]",
    ),
    "another network": (
        lambda: cifar_resnet(8).state_dict(),
        r"does not fit the network: it has 'layer1.0.conv1.weight', which it has not|shape",
    ),
    "half a network": (
        lambda: {k: v for k, v in state().items() if "conv" not in k},
        r"it has no 'conv1.weight' \(1 missing, 0 unknown\)",
    ),
    "a larger network": (
        lambda: state() | {"conv2.weight": torch.zeros(8, 8, 3, 3)},
        r"it has 'conv2.weight', which it has not \(0 missing, 1 unknown\)",
    ),
    "integers": (
        lambda: {k: (v * 100).to(torch.int8) for k, v in state().items()},
        r"expected float values in conv1.weight, found torch.int8",
    ),
    "quantized tensors": (
        lambda: (
            state()
            | {"fc.weight": torch.quantize_per_tensor(state()["fc.weight"], 0.1, 0, torch.qint8)}
        ),
        "found values of torch.qint8",
    ),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_what_is_no_state_dict_of_the_network_is_one_sentence(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, message = DOCUMENTS[kind]
    with pytest.raises(DataError, match=message) as raised:
        read(saved(tmp_path, make()))
    assert raised.value.hint
    assert "\n" not in str(raised.value)
    assert "weights_only" not in str(raised.value)
    assert not (tmp_path / "evil-ran").exists(), "nothing in a file is run"


def halved(file: Path) -> None:
    torch.save(state(), file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def cut_safetensors(file: Path) -> None:
    save_file(state(), file)
    file.write_bytes(file.read_bytes()[:300])


def text(content: str) -> Callable[[Path], object]:
    return lambda file: file.write_text(content)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "TorchScript": (scripted, r"is a TorchScript program.*torch.jit.load\(\"w.pth\"\).state_dict"),
    "a trace": (traced, "is a TorchScript program"),
    "torch.export": (exported, r"program of torch.export.*torch.export.load"),
    "a web page": (text("\n <!DOCTYPE html><html><body>404</body></html>"), "is a web page"),
    "git-lfs": (text("version https://git-lfs.github.com/spec/v1\noid"), "git lfs pull"),
    "text": (text("Not Found"), "is damaged, or"),
    "nothing": (text(""), "are an empty file"),
    "a pipe": (os.mkfifo, "it is no regular file"),
    "a folder": (Path.mkdir, "it is a folder"),
    "nowhere": (lambda file: None, "no such file"),
    "numpy": (lambda file: np.savez(file.open("wb"), a=np.ones(3)), "an archive of other files"),
    "a plain pickle": (lambda file: file.write_bytes(pickle.dumps(Net())), "is damaged, or holds"),
    "half a file": (halved, "is damaged: its end is missing"),
    "a damaged safetensors": (cut_safetensors, "is damaged, or no file of safetensors"),
}


@pytest.mark.parametrize("kind", FILES)
def test_what_is_no_file_of_weights_is_one_sentence(tmp_path: Path, kind: str) -> None:
    make, message = FILES[kind]
    file = tmp_path / "w.pth"
    make(file)
    with pytest.raises(DataError, match=message) as raised:
        read_weights(file)
    assert raised.value.hint
    assert "\n" not in str(raised.value)
    assert "weights_only" not in str(raised.value)


def test_a_damaged_zip_without_its_middle_is_one_sentence(tmp_path: Path) -> None:
    file = saved(tmp_path, state())
    content = bytearray(file.read_bytes())
    content[200:600] = b"\xff" * 400
    file.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        read_weights(file)


def test_a_number_that_is_another_one_is_not_believed(tmp_path: Path) -> None:
    """An archive has a sum of each part, at which torch does not look."""
    file = saved(tmp_path, state())
    content, weight = file.read_bytes(), state()["conv1.weight"].numpy().tobytes()
    at = content.index(weight[:64])
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(DataError, match="its parts are not what their sums say"):
        read_weights(file)


def test_an_archive_without_sums_is_taken(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        file = saved(tmp_path, state())
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read(file).state["fc.bias"], state()["fc.bias"])


def test_a_compressed_archive_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    file = saved(tmp_path, state())
    with zipfile.ZipFile(file) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, data)
    with pytest.raises(DataError, match="is a compressed archive"):
        read_weights(file)


@pytest.mark.parametrize(
    "content", [b"another", b"\x80\x02]q\x00.", b"(lp0\n.", b"\x80\x02K\x01s."]
)
def test_a_pickle_that_breaks_its_reader_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"w\.pth is damaged"):
        read_weights(tmp_path / "w.pth")


def test_weights_without_shortcuts_are_of_the_first_form(tmp_path: Path) -> None:
    first = cifar_resnet(20, shortcut="zeros")
    document = {
        f"module.{name}".replace(".fc.", ".linear."): value
        for name, value in first.state_dict().items()
    }
    with pytest.raises(DataError, match=r"it has no 'layer2.0.downsample.0.weight'"):
        load_weights(cifar_resnet(20), saved(tmp_path, {"state_dict": document}))
    other = cifar_resnet(20, shortcut="zeros")
    load_weights(other, tmp_path / "w.pth")
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(first.eval()(images), other.eval()(images))
    second = cifar_resnet(20)
    document = {
        name.replace("downsample", "shortcut").replace("fc.", "linear."): value
        for name, value in second.state_dict().items()
    }
    third = cifar_resnet(20)
    load_weights(third, saved(tmp_path, document))
    assert torch.equal(second.eval()(images), third.eval()(images))
