"""Weights, whatever happened to their files: tensors, or a sentence, and nothing executed."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from safetensors.torch import save_file

from env.tasks.weights.fit import load_weights
from experiments.terminal.exit_codes import DONE, USER_MISTAKE, run_command
from quant.testing import TinyResidualNet
from tests.fuzz import watch
from tests.fuzz.cases import CASES, try_cases
from tests.fuzz.harms import MARK, Described, apply, of_files, read

FILES = ("w.safetensors", "w.pt", "nested.pt", "legacy.pt", "half.pt")
SUMMED = ("w.pt", "nested.pt", "half.pt")
"""Zip archives have a sum of each part; safetensors and torch's files of before have none, and a
number that is another one there is just another number."""


class Evil:
    """What would run a command where a pickle is believed."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "weights"
    folder.mkdir()
    torch.manual_seed(0)
    state = TinyResidualNet().state_dict()
    save_file(dict(state), folder / "w.safetensors")
    torch.save(state, folder / "w.pt")
    nested = {"epoch": 3, "model": {f"module.{name}": value for name, value in state.items()}}
    torch.save(nested, folder / "nested.pt")
    torch.save(state, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({name: value.half() for name, value in state.items()}, folder / "half.pt")
    return folder


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    with watch.bounded_memory():
        yield


def _evil(name: str, how: str) -> Described:
    """Put a pickle that runs a command into a file, or in front of it."""

    def work(folder: Path) -> None:
        bad = pickle.dumps(Evil(folder.parent / MARK))
        if how == "whole":
            (folder / name).write_bytes(bad)
        elif how == "before":
            (folder / name).write_bytes(bad + read(folder / name))
        elif how == "saved":
            torch.save({"state_dict": Evil(folder.parent / MARK)}, folder / name)
        else:
            _rewrite(folder / name, lambda part, data: bad if part.endswith(".pkl") else data)

    return Described("evil", name, how, work=work)


def _rewrite(file: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Write an archive anew, with sums of its own."""
    made = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(read(file))) as old, zipfile.ZipFile(made, "w") as new:
            for part in old.namelist():
                new.writestr(part, change(part, old.read(part)))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ValueError(str(error)) from None
    file.write_bytes(made.getvalue())


def _part(name: str, ending: str, share: float, data: bytes, edit: str) -> Described:
    def change(part: str, before: bytes) -> bytes:
        if not part.endswith(ending):
            return before
        at = int(share * len(before))
        return {
            "cut": before[:at],
            "put": before[:at] + data + before[at + len(data) :],
            "more": before[:at] + data + before[at:],
        }[edit]

    return Described(
        "part", name, ending, share, data, edit, work=lambda f: _rewrite(f / name, change)
    )


HARMS = st.one_of(
    of_files(FILES, ["w.safetensors"]),
    of_files(FILES, ["w.safetensors"]),
    st.builds(_evil, st.sampled_from(FILES), st.sampled_from(("whole", "before", "saved", "part"))),
    st.builds(
        _part,
        st.sampled_from(SUMMED),
        st.sampled_from((".pkl", "data/0", "version", "byteorder", ".format_version")),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=6),
        st.sampled_from(("cut", "put", "more")),
    ),
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_harmed_weights_are_tensors_or_refused_in_a_sentence(weights: Path) -> None:
    contents = {name: (weights / name).read_bytes() for name in FILES}
    expected = {name: _loaded(weights / name) for name in FILES}

    def check(harms: Sequence[Described], empty: Path) -> object:
        folder = empty / "weights"
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        if not apply(harms, folder):
            return None
        name = str(harms[-1].facts[0])
        module = TinyResidualNet()

        def command() -> int:
            load_weights(module, folder / name)
            return DONE

        answer = watch.ask(lambda: run_command(command), folder)
        watch.check(answer, str(folder / name))
        assert not (empty / MARK).exists(), harms
        kinds = {harm.kind for harm in harms}
        if answer.code == DONE and name in SUMMED and kinds <= {"flip", "cut", "longer"}:
            state = module.state_dict()
            assert all(torch.equal(value, expected[name][key]) for key, value in state.items())
        return answer.code

    counts = try_cases(HARMS, check, weights.parent)
    assert min(counts[DONE], counts[USER_MISTAKE]) > CASES // 50


def _loaded(file: Path) -> dict[str, torch.Tensor]:
    module = TinyResidualNet()
    load_weights(module, file)
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_the_fuzz_itself_would_see_a_believed_pickle(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "w.pt").write_bytes((weights / "w.pt").read_bytes())
    assert apply([_evil("w.pt", "saved")], folder)

    def believe() -> int:
        torch.load(folder / "w.pt", weights_only=False)
        return DONE

    assert watch.ask(believe, folder).executed
    assert (tmp_path / MARK).exists()
