"""A disk that is full, at every place that is written: a sentence, and the work goes on after."""

import shutil
from pathlib import Path

import pytest

from experiments.record import files
from experiments.terminal.exit_codes import DONE
from hardware.store import Store
from tests.faults.commands import SIMULATED, SMALL, check_refused, run
from tests.faults.small_disk import SmallDisk, small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LOCAL = (*SMALL, "--target.runner", "local")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("finished")
    done = run("experiments.run", *SIMULATED, "--output", str(output))
    assert done.returncode == DONE, done.stderr
    return (output / "latest").resolve()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on this machine: kernels, tiles and the float checkpoint are known from then on."""
    output = tmp_path_factory.mktemp("measured")
    done = run("experiments.run", *LOCAL, "--output", str(output))
    assert done.returncode == DONE, done.stderr
    return (output / "latest").resolve()


def _copied(run_folder: Path, disk: SmallDisk) -> Path:
    return Path(shutil.copytree(run_folder, disk.path / run_folder.name))


def test_the_run_folder(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        disk.fill()
        arguments = (*SIMULATED, "--output", str(disk.path), "--store", str(tmp_path / "s.sqlite"))
        check_refused(run("experiments.run", *arguments), disk.path, "--output")
        disk.free()
        assert run("experiments.run", *arguments).returncode == DONE


@pytest.mark.parametrize("left_kb", [12, 24, 60, 500, 800])
def test_a_run_folder_that_fills_up(tmp_path: Path, left_kb: int) -> None:
    """At its first files, its table, its events, its shared weights, the second of them."""
    store = ("--store", str(tmp_path / "store.sqlite"))
    with small_disk(tmp_path / "disk", 4096) as disk:
        disk.fill(left_kb * 1024)
        done = run("experiments.run", *SIMULATED, *store, "--output", str(disk.path))
        check_refused(done, disk.path, "--output")
        disk.free()
        if (disk.path / "latest").exists():
            folder = (disk.path / "latest").resolve()
            again = run("experiments.run", "--resume", str(folder))
            assert again.returncode == DONE, again.stderr
            assert (folder / files.RESULTS).exists()
        else:
            assert left_kb < 24


def test_the_store(tmp_path: Path) -> None:
    output = tmp_path / "runs"
    with small_disk(tmp_path / "disk", 256) as disk:
        store = disk.path / "store.sqlite"
        Store(store).close()
        disk.fill()
        done = run("experiments.run", *SIMULATED, "--output", str(output), "--store", str(store))
        check_refused(done, store, "--store")
        disk.free()
        again = run("experiments.run", "--resume", str((output / "latest").resolve()))
        assert again.returncode == DONE, again.stderr


def test_the_float_checkpoint(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 512) as disk:
        cache = {"XDG_CACHE_HOME": str(disk.path)}
        arguments = (*SIMULATED, "--output", str(tmp_path / "runs"))
        check_refused(
            run("experiments.run", *arguments, variables=cache), disk.path, "XDG_CACHE_HOME"
        )
        disk.free()
        folder = (tmp_path / "runs" / "latest").resolve()
        again = run("experiments.run", "--resume", str(folder), variables=cache)
        assert again.returncode == DONE, again.stderr


@pytest.mark.parametrize("flag", ["--target.kernel-cache", "--target.tile-choices"])
@pytest.mark.usefixtures("measured")
def test_the_caches_of_kernels_and_tiles(tmp_path: Path, flag: str) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        disk.fill()
        output = tmp_path / "runs"
        done = run("experiments.run", *LOCAL, "--output", str(output), flag, str(disk.path))
        check_refused(done, disk.path, flag)
        disk.free()
        again = run("experiments.run", "--resume", str((output / "latest").resolve()))
        assert again.returncode == DONE, again.stderr


@pytest.mark.parametrize("left_kb", [0, 8])
@pytest.mark.usefixtures("measured")
def test_the_temporary_folder(tmp_path: Path, left_kb: int) -> None:
    """Python takes another one where nothing can be written; where little can, we say so."""
    with small_disk(tmp_path / "disk", 64) as disk:
        disk.fill(left_kb * 1024)
        variables = {"TMPDIR": str(disk.path)}
        done = run("experiments.run", *LOCAL, "--output", str(tmp_path), variables=variables)
        if done.returncode != DONE:
            check_refused(done, disk.path, "TMPDIR")


def test_a_page(tmp_path: Path, finished: Path) -> None:
    with small_disk(tmp_path / "disk", 32) as disk:
        page = disk.path / "page.html"
        arguments = (str(finished), "--output", str(page))
        check_refused(run("experiments.report", *arguments), page, "--output")
        assert not page.exists()
        disk.free()
        assert run("experiments.report", *arguments).returncode == DONE


def test_a_bundle(tmp_path: Path, measured: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        bundle = disk.path / "bundle"
        arguments = (str(measured), "--output", str(bundle), "--no-onnx")
        check_refused(run("experiments.export", *arguments), disk.path, "--output")
        assert not list(disk.path.iterdir())
        disk.free()
        assert run("experiments.export", *arguments).returncode == DONE


def test_the_table_on_the_test_split(tmp_path: Path, finished: Path) -> None:
    with small_disk(tmp_path / "disk", 4096) as disk:
        folder = _copied(finished, disk)
        disk.fill()
        done = run("experiments.evaluate", str(folder))
        check_refused(done, folder, "another place")
        disk.free()
        assert run("experiments.evaluate", str(folder)).returncode == DONE


@pytest.mark.parametrize("left_kb", [0, 8, 40])
def test_the_events(tmp_path: Path, finished: Path, left_kb: int) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    shutil.rmtree(folder / files.EVENTS)
    with small_disk(folder / files.EVENTS, 128) as disk:
        disk.fill(left_kb * 1024)
        check_refused(run("experiments.run", "--resume", str(folder)), folder, "--output")
        disk.free()
        assert run("experiments.run", "--resume", str(folder)).returncode == DONE


def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    """What a quota of a file's size does: EFBIG in place of ENOSPC."""
    limited = ("prlimit", "--fsize=20000", "--")
    done = run("experiments.run", *SIMULATED, "--output", str(tmp_path), before=limited)
    check_refused(done, tmp_path / "store.sqlite", "--store")
