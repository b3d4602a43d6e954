"""SharedWeights: the shared weights after each evaluation, so that a killed run loses none of them.

The file of evaluation n is complete on the disk before line n of `evaluations.jsonl` is; the line
is what makes the evaluation count. A run killed in between has one file too many, never too few.
Optimizers and random states are not in it: each retraining makes its own, from the run's seed and
the evaluation's number.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from experiments.errors import RunFolderError, cannot_write
from experiments.record import files
from quant.network import QuantizedNetwork
from quant.records.regular_file import check_regular
from quant.records.tensor_file import write_tensors
from quant.tensors.moving import fetch


class SharedWeights:
    """Files `checkpoints/network-N.safetensors`, N evaluations having finished."""

    def __init__(self, folder: Path) -> None:
        """Use a run's folder; nothing is written yet."""
        self._folder = folder / files.CHECKPOINTS

    @property
    def state_folder(self) -> Path:
        """Where a search method keeps a state of its own."""
        return self._folder

    def save(self, network: QuantizedNetwork, evaluations: int) -> None:
        """Write the network's state after so many evaluations.

        Raises:
            RunFolderError: the disk is full or read-only.
        """
        path = self._path(evaluations)
        try:
            self._folder.mkdir(exist_ok=True)
            state = {name: fetch(value) for name, value in network.state_dict().items()}
            write_tensors(path, state, durable=True)
        except (OSError, SafetensorError) as error:
            raise cannot_write(path, error) from None

    def keep_only(self, evaluations: int) -> None:
        """Delete the states of every other number of evaluations, and what a killed run left."""
        for path in self._folder.glob("*network-*"):
            if path != self._path(evaluations):
                path.unlink(missing_ok=True)

    def load(self, network: QuantizedNetwork, evaluations: int) -> None:
        """Bring a network to its state after so many evaluations.

        Raises:
            RunFolderError: the file is missing, truncated or of another network.
        """
        path = self._path(evaluations)
        try:
            check_regular(path)
            network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError, MemoryError) as error:
            raise RunFolderError(
                f"expected the weights after {evaluations} evaluations at {path}, found a file "
                f"that is missing, truncated or of another network ({_first_line(error)})",
                "the run cannot go on; start a new one with --config "
                f"{self._folder.parent / files.CONFIG}",
            ) from None

    def _path(self, evaluations: int) -> Path:
        return self._folder / f"network-{evaluations:06d}.safetensors"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
