"""Writing the parts of a bundle that run: library, weights, loader (see `hardware.runtime`)."""

import hashlib
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hardware
from hardware.kernels.compiling.target import KernelTarget
from hardware.kernels.shapes.transformed_codes import TILES
from hardware.runtime.constants import write_constant
from hardware.runtime.run import SUMS
from hardware.target import KernelFamily, TargetConfig
from hardware.worker.workbench import Workbench
from quant.deploy_graph import DeployGraph

_LOADER = ("__init__.py", "runtime/*.py")
"""Files of this package that a bundle takes along."""
_RUN = "runtime/run.py"
"""The one of them that a bundle is started by, once more beside all others."""
_PLACES = frozenset(len(tiles.places) for tiles in TILES.values())
_AVX512_VNNI = ("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512_vnni")
_CPU_FEATURES: dict[KernelFamily, tuple[str, ...]] = {
    "amx": (*_AVX512_VNNI, "amx_tile", "amx_int8"),
    "avx512-vnni": _AVX512_VNNI,
    "avx-vnni": ("avx2", "fma", "avx_vnni"),
    "avx2": ("avx2", "fma"),
    "arm-dot": ("asimd", "asimddp"),
    "neon": ("asimd",),
    "generic": (),
}
"""What `/proc/cpuinfo` must list for the kernels of a family to run."""


def write_sums(folder: Path) -> None:
    """Write what every file of a folder hashes to, as `sha256sum -c` reads it.

    It finds files that were damaged, cut off or changed by mistake. It is no signature: whoever
    changes a file on purpose can write the sums again.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}"
        for path in files
        if "__pycache__" not in path.parts
    ]
    (folder / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_program(graph: DeployGraph, config: TargetConfig, folder: Path) -> dict[str, Any]:
    """Write `program.so`, `weights.bin`, `run.py` and the loader; return what the loader must know.

    Args:
        graph: The converted network.
        config: The target; a board need not be reachable.
        folder: Exists.

    Returns:
        Entries of `bundle.json`.

    Raises:
        BuildError: an operator has no kernel, or the library cannot be linked.
        ToolchainError: nothing here links for the target.
    """
    target = KernelTarget.of(config)
    bench = Workbench(config, 1)
    outside = bench.link_outside(graph, folder / "program.so")
    entries, offset = [], 0
    with (folder / "weights.bin").open("wb") as file:
        for array, family in outside:
            # Only a Winograd kernel's transformed weights have as many places as a window.
            winograd = "winograd" in family and array.ndim == 5 and array.shape[1] in _PLACES
            strided = "winograd-strided" in family
            document, data = write_constant(array, winograd=winograd, strided=strided)
            file.write(data)
            entries.append({**document, "offset": offset, "bytes": len(data)})
            offset += len(data)
    _copy_loader(folder)
    return {
        "machine": target.mtriple.partition("-")[0],
        "cpu": target.mcpu,
        "cpu_features": list(_CPU_FEATURES[target.family]),
        "input_shape": list(graph.tensors[graph.input].shape),
        "outputs": [asdict(output) for output in graph.returned],
        "constants": entries,
    }


def _copy_loader(folder: Path) -> None:
    source = Path(str(hardware.__file__)).parent
    for pattern in _LOADER:
        for path in sorted(source.glob(pattern)):
            place = folder / source.name / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    shutil.copyfile(source / _RUN, folder / "run.py")
