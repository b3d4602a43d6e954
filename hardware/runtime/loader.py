"""Bundle: a folder that `python -m experiments.export` wrote, loaded and run.

Needs numpy and TVM's runtime alone: this file travels with the bundle.
"""

import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hardware.runtime.amx import ask_for_tiles
from hardware.runtime.constants import read_constant
from hardware.runtime.document import ReturnedTensor, read_document
from hardware.runtime.linked import LinkedProgram
from hardware.runtime.returned import Returned, as_returned, joined
from hardware.runtime.run import BundleError, check_files

_SHOWN = 200
"""Letters of a bundle's own words in a sentence: a damaged one may have any number of them."""

_LONGEST_REASON = 200
_TILES = "amx_tile"
"""The CPU feature that Linux lends to processes which ask for it."""


class Bundle:
    """A network at its bits, ready to run; not safe for two threads."""

    def __init__(self, folder: Path | str, verify_key: Path | None = None) -> None:
        """Check a bundle's files and load them.

        A bundle's own Python code is not imported: this package's is used.

        Args:
            folder: The bundle, of this version or of an earlier one.
            verify_key: Public keys, one of which must have signed it; None for none.

        Raises:
            BundleError: a file is missing, damaged, changed, or could be executed and has no sum;
                the signature is none of these keys'; or this is another kind of machine.
        """
        place = Path(folder).resolve()
        check_files(place, verify_key)
        document = read_document(place / "bundle.json")
        _check_machine(document.machine, document.cpu_features)
        _check_tiles(document.cpu_features)
        self.labels: list[str] = list(document.labels)
        """What each logit stands for; empty where nobody said."""
        self.preprocessing: Mapping[str, Any] | None = document.preprocessing
        """`(pixel / largest - mean) / deviation`; None where nobody said."""
        self.input_shape: tuple[int, ...] = document.input_shape
        """`(C, H, W)`, `(F,)`, or `(C, 1, L)` for sequences."""
        weights = place / "weights.bin"
        constants = _read_constants(weights, document.constants)
        try:
            self._program = LinkedProgram(place / "program.so", constants)
            # Kernels compare the shapes of what they are given when they are called.
            self._program.run(np.zeros(self._program.input_shape, np.float32))
        except Exception as error:  # TVM's types of errors are made from names in C++
            reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
            raise BundleError(
                f"{place / 'program.so'} cannot be run here: {reason}; export the bundle again, "
                "for this target"
            ) from None
        self._returned = document.outputs or (_only_output(self._program),)
        self.outputs: tuple[str, ...] = tuple(each.name for each in self._returned)
        """What the network calls what it returns."""
        self._compare_shapes(place / "bundle.json")

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
            BundleError: the inputs are none, no float32, not finite or of another shape.
        """
        x = np.asarray(x)
        if x.ndim == 3 and (*x.shape[1:2], 1, *x.shape[2:]) == self.input_shape:
            x = x[:, :, None]
        if x.ndim == 0 or x.shape[1:] != self.input_shape:
            raise BundleError(
                f"expected inputs of shape (N, {', '.join(map(str, self.input_shape))}), "
                f"found {x.shape}"
            )
        if x.dtype != np.float32:
            raise BundleError(
                f"expected inputs of float32, prepared as README.md says, found {x.dtype}; where "
                "they are prepared, x.astype(numpy.float32) makes them so"
            )
        if not len(x):
            raise BundleError("expected at least one input, found none")
        for number, one in enumerate(x):
            if not np.isfinite(one).all():
                raise BundleError(
                    f"expected finite inputs, found {one[~np.isfinite(one)][0]} in input {number}"
                )
        return joined([self._run_one(x[i : i + 1]) for i in range(len(x))])

    def _run_one(self, x: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        self._program.run(x)
        return [
            as_returned(
                self._program.value(each.tensor), each.shape, channels_last=each.channels_last
            )
            for each in self._returned
        ]

    def _compare_shapes(self, file: Path) -> None:
        """Refuse a document that is not of this program."""
        if self._program.input_shape != (1, *self.input_shape):
            raise BundleError(
                f"{file}: expected inputs of shape {self._program.input_shape[1:]}, found "
                f"{self.input_shape}; export the bundle again"
            )
        for each in self._returned:
            made = self._program.shape(each.tensor)
            if made is None or math.prod(made) != math.prod(each.shape):
                raise BundleError(
                    f"{file}: expected the output {each.name[:60]!r} of the tensor's shape, "
                    f"{made}, found {each.shape}; export the bundle again"
                )

    def time_ms(self, loops: int = 100, repeats: int = 20) -> float:
        """Return the median milliseconds of one execution, over `repeats` means of `loops`."""
        self._program.time_repeats(loops, 2)
        return float(np.median(self._program.time_repeats(loops, repeats)))


def _read_constants(file: Path, documents: Sequence[Mapping[str, Any]]) -> list[npt.NDArray[Any]]:
    data, constants = file.read_bytes(), []
    for number, document in enumerate(documents):
        part = data[document["offset"] : document["offset"] + document["bytes"]]
        try:
            constants.append(read_constant(document, part))
        except ValueError as error:
            raise BundleError(
                f"{file}, constant {number}: {error}; export the bundle again"
            ) from None
    return constants


def _only_output(program: LinkedProgram) -> ReturnedTensor:
    """Return the one output of bundles that do not list them."""
    shape = (program.shape(program.output) or (1,))[1:]
    return ReturnedTensor(name="output", tensor=program.output, shape=shape, channels_last=False)


def _check_machine(machine: str, features: Sequence[str]) -> None:
    """Refuse a machine that the program's instructions would stop."""
    here = platform.machine()
    if here != machine:
        raise BundleError(
            f"this bundle is for {machine[:_SHOWN]}, found {here}; export it for this target"
        )
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
            f"this bundle needs a CPU with {', '.join(missing)[:_SHOWN]}, found one without; "
            "export it for this target"
        )


def _check_tiles(features: Sequence[str]) -> None:
    """Ask for AMX's registers where the program needs them; refuse where they are not lent."""
    if _TILES in features and (refused := ask_for_tiles()):
        raise BundleError(f"this bundle needs AMX: {refused}; export it with --target.no-amx")
