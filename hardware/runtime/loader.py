"""Bundle: a folder that `python -m experiments.export` wrote, loaded and run.

Needs numpy and TVM's runtime alone: this file travels with the bundle.
"""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.runtime.checksums import BundleError, compare_sums
from hardware.runtime.constants import read_constant
from hardware.runtime.linked import LinkedProgram
from hardware.runtime.returned import Returned, as_returned, joined

_VERSION = 2


class Bundle:
    """A network at its bits, ready to run; not safe for two threads."""

    def __init__(self, folder: Path | str) -> None:
        """Check a bundle's files and load them.

        Raises:
            BundleError: a file is missing, damaged or changed, or this is another kind of machine.
        """
        place = Path(folder)
        compare_sums(place)
        document: dict[str, Any] = json.loads((place / "bundle.json").read_text(encoding="utf-8"))
        if document["version"] != _VERSION:
            raise BundleError(
                f"expected a bundle of version {_VERSION}, found {document['version']}"
            )
        _check_machine(document["machine"], document["cpu_features"])
        self.labels: list[str] = document["labels"]
        """What each logit stands for; empty where nobody said."""
        self.preprocessing: dict[str, Any] | None = document["preprocessing"]
        """`(pixel / largest - mean) / deviation`; None where nobody said."""
        self.input_shape: tuple[int, ...] = tuple(document["input_shape"])
        """`(C, H, W)`, `(F,)`, or `(C, 1, L)` for sequences."""
        self.outputs: tuple[str, ...] = tuple(each["name"] for each in document["outputs"])
        """What the network calls what it returns."""
        self._returned: list[dict[str, Any]] = document["outputs"]
        weights = (place / "weights.bin").read_bytes()
        constants = [
            read_constant(entry, weights[entry["offset"] : entry["offset"] + entry["bytes"]])
            for entry in document["constants"]
        ]
        self._program = LinkedProgram(place / "program.so", constants)

    def prepare(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return pixels as files have them, `[..., C, H, W]`, as the network reads them.

        Raises:
            BundleError: the bundle does not say how.
        """
        if self.preprocessing is None:
            raise BundleError("this bundle does not say how its inputs are made of pixels")
        mean, deviation = (
            np.array(self.preprocessing[name], np.float32)[:, None, None]
            for name in ("mean", "deviation")
        )
        # Each step rounded to float32, as in training: another order could change a code.
        scaled = pixels.astype(np.float32) / np.float32(self.preprocessing["largest"])
        prepared: npt.NDArray[np.float32] = (scaled - mean) / deviation
        return prepared

    def run(self, x: npt.NDArray[np.float32]) -> Returned:
        """Return what the network returns for prepared inputs `[N, *input_shape]`, N at least 1.

        That is logits `[N, classes]` for a classifier, and a tuple in the order of `outputs` where
        there are several. Sequences may come as `[N, C, L]`.

        Raises:
            BundleError: the inputs have another shape.
        """
        if x.ndim == 3 and (*x.shape[1:2], 1, *x.shape[2:]) == self.input_shape:
            x = x[:, :, None]
        if x.shape[1:] != self.input_shape:
            raise BundleError(
                f"expected inputs of shape (N, {', '.join(map(str, self.input_shape))}), "
                f"found {x.shape}"
            )
        return joined([self._run_one(x[i : i + 1]) for i in range(len(x))])

    def _run_one(self, x: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        self._program.run(x)
        return [
            as_returned(
                self._program.value(each["tensor"]),
                each["shape"],
                channels_last=each["channels_last"],
            )
            for each in self._returned
        ]

    def time_ms(self, loops: int = 100, repeats: int = 20) -> float:
        """Return the median milliseconds of one execution, over `repeats` means of `loops`."""
        self._program.time_repeats(loops, 2)
        return float(np.median(self._program.time_repeats(loops, repeats)))


def _check_machine(machine: str, features: list[str]) -> None:
    """Refuse a machine that the program's instructions would stop."""
    here = platform.machine()
    if here != machine:
        raise BundleError(f"this bundle is for {machine}, found {here}; export it for this target")
    try:
        cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return
    # An emulator shows the list of the machine that it runs on, which has another name.
    name = "Features" if machine == "aarch64" else "flags"
    lines = [line for line in cpu.splitlines() if line.startswith(name)]
    found = set(lines[0].partition(":")[2].split()) if lines else set()
    if found and (missing := [name for name in features if name not in found]):
        raise BundleError(
            f"this bundle needs a CPU with {', '.join(missing)}, found one without; export it for "
            "this target"
        )
