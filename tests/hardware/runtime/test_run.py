"""A bundle's `run.py`: what is not as it was written is told in a sentence, and never executed."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hardware.runtime.answer import answer
from hardware.runtime.loader import Bundle
from hardware.runtime.run import INTERRUPTED, PACKAGES, BundleError
from quant.integer import run_graph
from tests.hardware.runtime.bundles import IMAGE, make_bundle, small_graph

DONE, USER_MISTAKE = 0, 2
MARK = "executed"
"""What code that must not run would write into the folder it is started in."""
EVIL = f"open({MARK!r}, 'w').close()\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    return make_bundle(small_graph(), folder / "small", folder / "kernels", dot_product=False)


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "bundle"))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).normal(size=(3, *IMAGE)).astype(np.float32)
    np.save(tmp_path / "x.npy", images)
    return tmp_path / "x.npy"


def run(
    bundle: Path, *arguments: Path | str, python: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Start a bundle beside which code that must not run would leave its mark."""
    return subprocess.run(
        [sys.executable, *python, str(bundle / "run.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=bundle.parent,
        env={**os.environ, **environment},
        timeout=100,
    )


def check_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One sentence, and nothing of the folder was executed."""
    assert done.returncode == USER_MISTAKE, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def check_equal(done: subprocess.CompletedProcess[str], inputs: Path, outputs: Path) -> None:
    assert done.returncode == DONE, done.stderr
    assert done.stderr == ""
    np.testing.assert_array_equal(np.load(outputs), run_graph(small_graph(), np.load(inputs)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SHA256SUMS", "is damaged: expected a sum and a name"),
        ("bundle.json", "bundle.json is damaged or was changed; export the bundle again"),
        ("hardware/runtime/run.py", "runtime/run.py is damaged or was changed"),
        ("hardware/runtime/loader.py", "runtime/loader.py is damaged or was changed"),
        ("hardware/__init__.py", "hardware/__init__.py is missing"),
    ],
)
def test_a_damaged_file_is_told_before_anything_is_imported(
    name: str, words: str, bundle: Path
) -> None:
    file = bundle / name
    if "missing" in words:
        file.unlink()
    else:
        data = file.read_bytes()
        in_a_sum = data.find(b"\n") + 32
        file.write_bytes(data[: in_a_sum if name == "SHA256SUMS" else len(data) // 2])
    done = run(bundle, python=("-X", "importtime"))
    said, imported = done.stderr.splitlines()[-1], done.stderr
    assert done.returncode == USER_MISTAKE
    assert said.startswith("error: ")
    assert words in said
    assert not [line for line in imported.splitlines() if line.endswith(("numpy", "hardware"))]


STRAY = (
    *("numpy.py", "hashlib.py", "os.py", "argparse.py", "tvm/__init__.py", "json.pyc"),
    *("hardware/runtime/numpy.py", "hardware.py", "hardware/runtime/answer.so", "NUMPY.PY"),
    *("hardware/runtime/loader.cpython-311-x86_64-linux-gnu.so", "extra/deep/setup.py"),
)


@pytest.mark.parametrize("name", STRAY)
def test_code_without_a_sum_is_refused_and_never_executed(name: str, bundle: Path) -> None:
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_text(EVIL)
    done = run(bundle)
    check_refused(done, f"{Path(name).name} could be executed and has no sum", "move it out")
    assert not (bundle.parent / MARK).exists()
    with pytest.raises(BundleError, match="could be executed and has no sum"):
        Bundle(bundle)


@pytest.mark.parametrize(
    "python", [(), ("-P",), ("-S",), ("-m", "run"), ("-X", "frozen_modules=off")], ids=str
)
def test_no_way_of_starting_it_executes_a_stray_module(
    python: tuple[str, ...], bundle: Path
) -> None:
    # What the interpreter itself imports before any script (os) is no way of starting a bundle.
    for name in ("argparse.py", "hashlib.py", "numpy.py", "sitecustomize.py"):
        (bundle / name).write_text(EVIL)
    command = [sys.executable, *python, *([] if "-m" in python else ["run.py"])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=bundle)
    check_refused(done, "could be executed and has no sum")
    assert not (bundle / MARK).exists()


def test_a_path_that_names_the_folder_executes_nothing_of_it(bundle: Path) -> None:
    for name in ("argparse.py", "numpy.py"):
        (bundle / name).write_text(EVIL)
    done = run(bundle, PYTHONPATH=f"{bundle}{os.pathsep}bundle{os.pathsep}.")
    check_refused(done, "could be executed and has no sum")
    assert not (bundle.parent / MARK).exists()


def test_data_beside_it_and_stale_bytecode_change_nothing(bundle: Path, inputs: Path) -> None:
    shutil.copy(inputs, bundle / "INPUTS.npy")
    (bundle / "notes.txt").write_text("mine")
    source = bundle / "hardware" / "runtime" / "loader.py"
    evil = bundle.parent / "loader.py"
    evil.write_text(EVIL + "#" * (source.stat().st_size - len(EVIL)))
    os.utime(evil, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    stale = Path(importlib.util.cache_from_source(str(source)))
    stale.parent.mkdir()
    compiled = "import py_compile, sys; py_compile.compile(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", compiled, str(evil), str(stale), str(source)], check=True)
    for _ in range(2):  # the first one's outputs are there for the second
        done = run(bundle, bundle / "INPUTS.npy", bundle / "OUTPUTS.npy")
        check_equal(done, inputs, bundle / "OUTPUTS.npy")
    assert not (bundle.parent / MARK).exists()
    assert len(list(bundle.rglob("*.pyc"))) == 1  # nothing was written into the folder


def test_links_to_files_are_followed_and_links_to_folders_refused(
    bundle: Path, inputs: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "elsewhere")
    for name in ("weights.bin", "hardware/runtime/loader.py"):
        (bundle / name).unlink()
        (bundle / name).symlink_to(tmp_path / "elsewhere" / name)
    check_equal(run(bundle, inputs, tmp_path / "y.npy"), inputs, tmp_path / "y.npy")
    (tmp_path / "link").symlink_to(bundle)
    check_equal(run(tmp_path / "link", inputs, tmp_path / "z.npy"), inputs, tmp_path / "z.npy")
    shutil.rmtree(bundle / "hardware")
    (bundle / "hardware").symlink_to(tmp_path / "elsewhere" / "hardware")
    check_refused(run(bundle, inputs), "hardware leads to a folder and has no sum")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "dangling", "loop"])
def test_what_is_no_file_is_not_read(kind: str, bundle: Path) -> None:
    file = bundle / "weights.bin"
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        targets = {"device": "/dev/zero", "dangling": "nowhere", "loop": "weights.bin"}
        file.symlink_to(targets[kind])
    check_refused(run(bundle), "weights.bin")


@pytest.mark.parametrize("name", ["/etc/hostname", "../x.npy", "hardware/../../x.npy", "", "a\0b"])
def test_sums_of_files_outside_are_refused(name: str, bundle: Path) -> None:
    with (bundle / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {name}\n")
    check_refused(run(bundle), "SHA256SUMS is damaged: expected a sum and a name")


def _text(path: Path) -> None:
    path.write_text("1, 2, 3\n")


def _objects(path: Path) -> None:
    np.save(path, np.array([{}, None], object), allow_pickle=True)


def _archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, x=np.zeros(3))


def _array(shape: tuple[int, ...], dtype: str = "f4", value: float = 0.0) -> Callable[[Path], None]:
    return lambda path: np.save(path, np.full(shape, value, dtype))


def _header(text: str) -> Callable[[Path], object]:
    header = text.encode().ljust(117) + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    return lambda path: path.write_bytes(start + header + bytes(1000))


INPUTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "cannot be read: No such file or directory"),
    "folder": (lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "nothing in it": (lambda path: path.touch(), "are no array: No data left in file"),
    "text": (_text, "are no array: "),
    "objects": (_objects, "are no array: Object arrays cannot be loaded"),
    "archive": (_archive, "expected one array in"),
    "cut off": (
        lambda path: _array((2, *IMAGE))(path) or path.write_bytes(path.read_bytes()[:-7]),
        "are no array: ",
    ),
    "damaged header": (_header("{'descr': '<f4', 'shape': ((("), "are no array: "),
    "huge": (
        _header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1, 8, 8)}"),
        "are no array: ",
    ),
    "scalar": (_array(()), "expected inputs of shape (N, 1, 8, 8), found ()"),
    "one image": (_array((1, 8)), "expected inputs of shape (N, 1, 8, 8), found (1, 8)"),
    "other shape": (_array((2, 1, 8, 9)), "found (2, 1, 8, 9)"),
    "none": (_array((0, *IMAGE)), "expected at least one input, found none"),
    "pixels": (_array((2, *IMAGE), "u1"), "expected inputs of float32"),
    "doubles": (_array((2, *IMAGE), "f8"), "found float64"),
    "texts": (_array((2, *IMAGE), "U3"), "found <U3"),
    "not a number": (_array((2, *IMAGE), "f4", np.nan), "expected finite inputs, found nan"),
    "infinite": (_array((2, *IMAGE), "f4", -np.inf), "found -inf in input 0"),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_wrong_inputs_are_told_in_one_sentence(
    kind: str, original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, said = INPUTS[kind]
    make(tmp_path / "x.npy")
    code = answer(original, tmp_path / "x.npy", tmp_path / "y.npy")
    captured = capsys.readouterr()
    check_refused(subprocess.CompletedProcess([], code, captured.out, captured.err), said)
    assert not (tmp_path / "y.npy").exists()


def test_outputs_that_cannot_be_written_are_told(bundle: Path, inputs: Path) -> None:
    done = run(bundle, inputs, bundle.parent / "no folder" / "y.npy")
    check_refused(done, "y.npy cannot be written: No such file or directory")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks for the loaded library")
@pytest.mark.usefixtures("heeds_interrupts")
def test_an_interrupt_is_no_traceback(bundle: Path, inputs: Path) -> None:
    images = np.repeat(np.load(inputs), 300_000, 0)  # for seconds
    np.save(inputs, images)
    command = [sys.executable, str(bundle / "run.py"), str(inputs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and "program.so" not in maps.read_text():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (INTERRUPTED, b"")


def test_a_reader_that_goes_away_is_no_error(bundle: Path, inputs: Path) -> None:
    command = f"{sys.executable} {bundle / 'run.py'} {inputs} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_missing_packages_are_named_with_what_installs_them(bundle: Path, tmp_path: Path) -> None:
    done = run(bundle, python=("-I", "-S"))  # without site-packages
    check_refused(done, "expected numpy and tvm, found: No module named 'numpy'", PACKAGES)


def test_another_run_py_checks_the_bundle_too(bundle: Path, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(bundle / "run.py", tmp_path / "mine" / "run.py")
    arguments = [*map(str, ("--bundle", bundle, inputs, tmp_path / "y.npy"))]
    check_equal(run(tmp_path / "mine", *arguments), inputs, tmp_path / "y.npy")
    (bundle / "run.py").write_text(EVIL)
    check_refused(run(tmp_path / "mine", *arguments), "run.py is damaged or was changed")
    assert not (tmp_path / MARK).exists()
    check_refused(run(tmp_path / "mine"), "mine is no bundle: it has no readable SHA256SUMS")
