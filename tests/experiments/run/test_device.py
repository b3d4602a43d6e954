"""A whole run on a device that is not here, and the sentence where it is asked for by name."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from agents.training.training_file import TrainingFile
from experiments import run as run_module
from experiments.record.shared_weights import SharedWeights
from experiments.stages import network_setup
from experiments.terminal.exit_codes import DONE, USER_MISTAKE
from quant.network import prepare
from quant.tensors.moving import place
from quant.testing import TinyResidualNet, random_images
from tests.quant.tensors.elsewhere import META, elsewhere

_SMALL = [
    *("--quiet", "--target.runner", "simulated", "--evaluations", "12", "--task.epochs", "1"),
    *("--env.bit-choices", "2", "8", "--env.finetune.steps", "1"),
    *("--env.finetune.compensation-images", "0", "--env.finetune.held-back-images", "20"),
    *("--env.finetune.no-range-test", "--env.calibration-images", "16", "--env.no-equalize"),
    *("--budget.latency-ratio", "0.9", "--env.sensitivity.images", "16"),
]


@pytest.mark.slow
def test_a_run_trains_and_scores_on_its_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(network_setup, "choose_device", lambda word: META)
    flags = ["--method", "clado", "--clado.images", "8", "--clado.no-pairs"]
    with elsewhere(monkeypatch) as watched:
        assert run_module.main([*_SMALL, *flags, "--output", str(tmp_path / "runs")]) == DONE
    assert {"aten.convolution.default", "aten.convolution_backward.default"} <= watched.there


def test_weights_are_fetched_before_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = prepare(TinyResidualNet().eval(), random_images(1))
    place(network, META)
    with elsewhere(monkeypatch):
        SharedWeights(tmp_path).save(network, 1)
        TrainingFile(tmp_path, "method", print).save(network.state_dict(), {})
    assert network.stream_scales.device == META
    written = [load_file(file) for file in tmp_path.rglob("*.safetensors")]
    assert len(written) == 2
    for state in written:
        assert bool((state["stream_scales"] == 1).all()), "what the watch makes of each value"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one here")
def test_a_run_without_its_device_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--env.device", "cuda", "--target.runner", "simulated", "--output", str(tmp_path)]
    assert run_module.main(flags) == USER_MISTAKE
    told = capsys.readouterr().err
    assert "env.device: expected a device for cuda, found none" in told
    assert "Traceback" not in told


def test_a_word_that_is_no_device_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_module.main(["--env.device", "gpu", "--output", str(tmp_path)]) == USER_MISTAKE
    assert "expected auto, cpu, cuda, cuda:N or mps, found" in capsys.readouterr().err
