"""Caches, whatever happened to their files: as they were, or made again, or a sentence."""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from env.tasks import Task, TaskConfig, checkpoint, checkpoint_path, float_module, load_task
from experiments.terminal.exit_codes import DONE, USER_MISTAKE, run_command
from hardware.kernels.compiling import cache as cache_module
from hardware.kernels.compiling.cache import KernelCache
from hardware.kernels.compiling.plan import KernelPlan
from hardware.kernels.planning.choose_family import choose_family
from hardware.kernels.schedule.schedule import candidates, make_schedule
from hardware.kernels.shapes.geometry import Geometry
from hardware.target import TargetConfig
from hardware.worker.tiles.choices import TileChoices
from quant.deploy_graph import Requantize
from tests.fuzz import watch
from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.harms import VALUES, Described, apply, json_value, of_files, read
from tests.hardware.kernels.single_op import Bench

GEOMETRY = Geometry(
    batch=1, height=32, width=32, channels=32, out_channels=64, kernel=(3, 3), stride=(2, 2)
)
ENTRY = ("key.json", "kernel.o", "kernel.so")


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with watch.bounded_memory():
        yield


def _plan() -> KernelPlan:
    op = Requantize(input="x", output="y", multiplier=0.1, zero_point=0, clip_min=0, clip_max=255)
    plan = Bench("unused").plan(op, [np.zeros((1, 40), np.int16)], (1, 40), "uint8")
    assert isinstance(plan, KernelPlan)
    return plan


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_harmed_kernel_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, whole = _plan(), tmp_path / "whole"
    KernelCache(TargetConfig(kernel_cache=str(whole))).load([plan])
    kept = whole / plan.symbol
    content = {name: (kept / name).read_bytes() for name in ENTRY}
    loaded: list[bytes] = []

    def compile_again(folder: Path, *_: Any) -> None:
        for name in ENTRY:
            shutil.copyfile(kept / name, folder / name)

    def load(library: Path) -> bytes:
        loaded.append(library.read_bytes())
        return loaded[-1]

    # Two thousand compilations are half an hour, and two thousand libraries are never unloaded.
    monkeypatch.setattr(cache_module, "_write_entry", compile_again)
    monkeypatch.setattr(cache_module, "_load_library", load)

    def check(harms: Sequence[Described], empty: Path) -> object:
        folder = Path(shutil.copytree(whole, empty / "kernels"))
        if not apply(harms, folder / plan.symbol):
            return None
        cache = KernelCache(TargetConfig(kernel_cache=str(folder)))

        def command() -> int:
            cache.load([plan])
            return DONE

        answer = watch.ask(lambda: run_command(command), folder)
        watch.check(answer, str(folder))
        if answer.code == DONE:
            assert loaded.pop() == content["kernel.so"]
            assert {n: (folder / plan.symbol / n).read_bytes() for n in ENTRY} == content or (
                cache.counts.hits == 1
            )
        return answer.code, cache.counts.misses

    counts = try_cases(of_files(ENTRY, ["key.json"]), check, tmp_path)
    assert min(counts[DONE, 0], counts[DONE, 1]) > CASES // 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_harmed_choice_of_tiles_is_one_of_the_candidates(tmp_path: Path) -> None:
    family = choose_family("avx2", 8, 8, GEOMETRY)
    chosen, known = candidates(GEOMETRY, family)[2], set(candidates(GEOMETRY, family))
    default = make_schedule(GEOMETRY, family)
    TileChoices(TargetConfig(tile_choices=str(tmp_path))).keep(GEOMETRY, family, chosen, {})
    (file,) = tmp_path.glob("*.json")
    content, found = file.read_bytes(), []

    def check(harms: Sequence[Described], empty: Path) -> object:
        folder = empty / "tiles"
        folder.mkdir()
        (folder / file.name).write_bytes(content)
        if not apply(harms, folder):
            return None

        def command() -> int:
            choices = TileChoices(TargetConfig(tile_choices=str(folder)))
            found.append(choices.schedule(GEOMETRY, family))
            return DONE

        answer = watch.ask(lambda: run_command(command), folder)
        watch.check(answer)
        schedule = found.pop()
        assert schedule in known
        return (
            answer.code,
            "kept" if schedule == chosen else "default" if schedule == default else 0,
        )

    changed = st.builds(
        json_value,
        st.just(file.name),
        *(st.just(0), st.integers(0, 99), st.sampled_from((*VALUES, *range(40))), st.just("")),
    )
    harms = st.one_of(of_files([file.name], [file.name]), changed)
    counts = try_cases(harms, check, tmp_path)
    assert min(counts[DONE, "kept"], counts[DONE, "default"]) > CASES // 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_harmed_float_checkpoint_is_refused_or_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task(TaskConfig())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    expected = float_module(task, 0).state_dict()
    kept = checkpoint_path(task, 0)
    content = kept.read_bytes()
    trained: list[Task] = []
    # The training is another fuzz's.
    monkeypatch.setattr(checkpoint, "train_float", lambda *_, **__: trained.append(task))
    monkeypatch.setattr(checkpoint, "_check_captured", lambda *_: None)
    names = [kept.name]

    def check(harms: Sequence[Described], empty: Path) -> object:
        monkeypatch.setenv("XDG_CACHE_HOME", str(empty / "cache"))
        folder = checkpoint.checkpoint_folder()
        folder.mkdir(parents=True)
        (folder / kept.name).write_bytes(content)
        if not apply(harms, folder):
            return None
        trained.clear()
        found: list[dict[str, torch.Tensor]] = []

        def command() -> int:
            found.append(float_module(task, 0).state_dict())
            return DONE

        answer = watch.ask(lambda: run_command(command), folder)
        watch.check(answer, str(folder / kept.name))
        if answer.code == DONE and not trained:
            assert all(torch.equal(value, expected[name]) for name, value in found[0].items())
        return answer.code, bool(trained)

    numbers = st.builds(_weight, st.just(kept.name), st.integers(0, 10**6), st.integers(0, 7))
    counts = try_cases(st.one_of(of_files(names, names), numbers), check, tmp_path)
    assert min(counts[USER_MISTAKE, False], counts[DONE, True]) > CASES // 50


def _weight(name: str, place: int, bit: int) -> Described:
    """Flip a bit of a weight, and none of the header."""

    def work(folder: Path) -> None:
        data = bytearray(read(folder / name))
        begin = 8 + int.from_bytes(data[:8], "little")
        if begin >= len(data):
            raise ValueError("there is no weight")
        data[begin + place % (len(data) - begin)] ^= 1 << bit
        (folder / name).write_bytes(data)

    return Described("weight", name, place, bit, work=work)


def test_an_entry_has_a_sum_of_each_file(tmp_path: Path) -> None:
    plan = _plan()
    KernelCache(TargetConfig(kernel_cache=str(tmp_path))).load([plan])
    document = json.loads((tmp_path / plan.symbol / "key.json").read_text())
    assert set(document["sha256"]) == set(ENTRY) - {"key.json"}
