"""A bundle's program in a process that has numpy and TVM alone: equal to the bit, or refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hardware.runtime.loader import Bundle
from hardware.runtime.run import BundleError, check_files
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from hardware.worker.write_bundle import write_sums
from quant.allocation import Allocation
from quant.convert import convert
from quant.integer import run_graph
from quant.testing import (
    TinyBranchNet,
    TinyResidualNet,
    prepare_calibrated,
    random_allocation,
    random_images,
)
from tests.hardware.island_graphs import converted
from tests.hardware.runtime.bundles import make_bundle, small_graph

RUN = """
import sys
import numpy as np
sys.modules["torch"] = None  # TVM would import it where it is installed
sys.path.insert(0, sys.argv[1])
from hardware.runtime.loader import Bundle
for folder in sys.argv[1:]:
    bundle = Bundle(folder)
    np.save(folder + ".out.npy", bundle.run(np.load(folder + ".npy")))
assert sys.modules["hardware"].__file__.startswith(sys.argv[1])
assert not {"quant", "hardware.kernels", "gymnasium", "env"} & set(sys.modules)
assert bundle.time_ms(2, 3) > 0
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, kernels: Path) -> Path:
    return make_bundle(small_graph(), tmp_path_factory.mktemp("bundles") / "small", kernels)


def test_outputs_of_another_process_are_equal_to_the_bit(tmp_path: Path, kernels: Path) -> None:
    rng = np.random.default_rng(0)
    expected: dict[Path, np.ndarray] = {}
    for kind, shape in ((TinyResidualNet, (1, 8, 8)), (TinyBranchNet, (3, 10, 12))):
        torch.manual_seed(1)
        network = prepare_calibrated(kind(), random_images(64, shape))
        images = random_images(9, shape, seed=5).numpy()
        uniform = Allocation.uniform(network.layers, 2)
        for allocation in (uniform, random_allocation(network.layers, rng)):
            network.set_allocation(allocation)
            graph = convert(network)
            folder = tmp_path / f"bundle{len(expected)}"
            make_bundle(graph, folder, kernels, dot_product=False)
            np.save(f"{folder}.npy", images)
            expected[folder] = run_graph(graph, images)
    command = [sys.executable, "-P", "-c", RUN, *map(str, expected)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for made, logits in expected.items():
        np.testing.assert_array_equal(np.load(f"{made}.out.npy"), logits)


def test_islands_are_equal_to_the_bit_on_the_machine_that_wrote_them(
    tmp_path: Path, kernels: Path
) -> None:
    expected, bench = {}, Workbench(TargetConfig(kernel_cache=str(kernels), tune_s=0.0), 1)
    for name in ("transposed", "sequence"):
        graph = converted(name)
        bench.build(graph)  # compares with the reference
        images = random_images(5, graph.tensors[graph.input].shape, seed=5).numpy()
        folder = make_bundle(graph, tmp_path / name, kernels)
        # Sequences come as they were trained on.
        np.save(f"{folder}.npy", images[:, :, 0] if name == "sequence" else images)
        expected[folder] = bench.run(graph, images)
    command = [sys.executable, "-P", "-c", RUN, *map(str, expected)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for made, logits in expected.items():
        np.testing.assert_array_equal(np.load(f"{made}.out.npy"), logits)


def test_the_weights_take_about_their_bits(tmp_path: Path, kernels: Path) -> None:
    torch.manual_seed(0)
    network = prepare_calibrated(
        torch.nn.Sequential(
            torch.nn.Conv2d(32, 64, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(64, 64, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(64, 10),
        ),
        random_images(16, (32, 8, 8)),
    )
    for bits in (2, 4, 8):
        network.set_allocation(Allocation.uniform(network.layers, bits))
        graph = convert(network)
        folder = make_bundle(graph, tmp_path / f"bits{bits}", kernels, dot_product=False)
        size = (folder / "weights.bin").stat().st_size
        assert graph.weight_bytes() <= size + 8 * 256
        assert size <= 1.1 * graph.weight_bytes() + 2 * 4096  # tables of 2 bits are 4 KB a layer


@pytest.mark.parametrize(
    "name", ["weights.bin", "program.so", "bundle.json", "hardware/runtime/linked.py"]
)
@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_a_damaged_bundle_is_refused(name: str, harm: str, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(small, folder)
    check_files(folder)
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data if harm == "changed" else data[: len(data) // 2])
    with pytest.raises(BundleError, match=rf"{name} is (missing|damaged or was changed)"):
        check_files(folder)


def test_sums_that_are_cut_off_or_no_sums_are_refused(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(small, folder)
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in lines if "weights" not in line))
    with pytest.raises(BundleError, match=r"is cut off: expected weights\.bin"):
        check_files(folder)
    (folder / "SHA256SUMS").write_text(lines[0][:30])
    with pytest.raises(BundleError, match="is damaged"):
        check_files(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match="is no bundle"):
        check_files(folder)


def test_another_machine_and_another_shape_are_refused(small: Path, tmp_path: Path) -> None:
    def changed(**entries: object) -> Path:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(small, folder)
        document = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps({**document, **entries}))
        write_sums(folder)
        return folder

    for folder, expected in [
        (changed(machine="riscv64"), "this bundle is for riscv64"),
        (changed(machine="x" * 1000), r"this bundle is for x{200}, found"),
        (changed(cpu_features=["sse2", "amx_wonder"]), "needs a CPU with amx_wonder"),
        (changed(version=3), "expected a bundle of version 2, found 3"),
    ]:
        with pytest.raises(BundleError, match=expected):
            Bundle(folder)
    bundle = Bundle(small)
    with pytest.raises(BundleError, match=r"shape \(N, 1, 8, 8\), found \(1, 1, 9, 8\)"):
        bundle.run(np.zeros((1, 1, 9, 8), np.float32))
    pixels = np.full((1, 1, 8, 8), 3, np.uint8)
    np.testing.assert_array_equal(bundle.prepare(pixels), np.full((1, 1, 8, 8), 1.5, np.float32))
