"""Devices: which processor or accelerator the user's word means on this machine."""

import os
import re

import torch

from quant.errors import TrainingError

CPU = torch.device("cpu")
DEVICE_WORDS = "auto, cpu, cuda, cuda:N or mps"
_KEY = "env.device"
_WORD = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_WITHOUT = "--env.device cpu trains on the processor"
_REPEATABLE_CUBLAS = ":4096:8"
"""cuBLAS sums in one order alone with a workspace of its own; see PyTorch's notes on
reproducibility."""


def is_device(word: str) -> bool:
    """Whether a word is one of `DEVICE_WORDS`, there or not."""
    return _WORD.fullmatch(word) is not None


def choose_device(word: str) -> torch.device:
    """Return the device that a word means here; `auto` is a CUDA device where there is one.

    Raises:
        TrainingError: it is no such word, or PyTorch cannot use that device here.
    """
    if not is_device(word):
        raise TrainingError(f"{_KEY}: expected {DEVICE_WORDS}, found {word!r}")
    if word == "auto":
        word = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(word)
    if device.type == "cuda":
        device = torch.device("cuda", device.index or 0)
        _check_cuda(word, device.index)
        _make_repeatable()
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise TrainingError(
            f"{_KEY}: expected a device for mps, found none that PyTorch {torch.__version__} can "
            "use here",
            _WITHOUT,
        )
    return device


def scoring_device(device: torch.device) -> torch.device:
    """Return where integers are computed for a network that is trained on a device.

    They need float64 where sums are large, which MPS has not: there it is the CPU.
    """
    return device if has_float64(device) else CPU


def has_float64(device: torch.device) -> bool:
    """Whether a device computes in double precision."""
    return device.type != "mps"


def describe(device: torch.device) -> str:
    """Return a device's name as its maker has it, where PyTorch knows that."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _check_cuda(word: str, index: int) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        found = f"{count} of them" if count else "none"
        raise TrainingError(
            f"{_KEY}: expected a device for {word}, found {found} that PyTorch "
            f"{torch.__version__} can use here",
            _WITHOUT,
        )


def _make_repeatable() -> None:
    """Let CUDA compute in one order where it can; PyTorch warns of operators that cannot."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _REPEATABLE_CUBLAS)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
