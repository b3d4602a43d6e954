"""AMX's permission and its test, on machines with AMX and without."""

from pathlib import Path

import pytest

from hardware.runtime import amx, loader
from hardware.runtime.amx import ask_for_tiles, why_no_amx
from hardware.runtime.run import BundleError


def test_linux_answers_and_the_test_follows_only_its_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = ask_for_tiles()
    if refused:
        assert refused.startswith(("Linux does not lend its registers: ", "it is there on Linux"))
        monkeypatch.setattr(amx, "_try_in_a_process", lambda: "it must not be tried")
        assert why_no_amx.__wrapped__() == refused
    else:
        assert why_no_amx() == ""  # asked, tried, exact


def test_a_signal_of_the_test_is_an_answer() -> None:
    if not ask_for_tiles():
        pytest.skip("this machine has AMX")
    # Without asking, the CPU refuses the first instruction: another process's end, and no more.
    assert amx._try_in_a_process(ask=False) == "a test of its instructions ended with SIGILL"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import sys; sys.exit(4)", "a test of its instructions gave wrong sums"),
        ("raise PermissionError('no such memory')", "failed: PermissionError: no such memory"),
        ("import os; os.kill(os.getpid(), 11)", "ended with SIGSEGV"),
        ("", ""),
    ],
)
def test_every_end_of_the_test_is_a_sentence(
    code: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "amx.py"
    file.write_text(code)
    monkeypatch.setattr(amx, "__file__", str(file))
    assert amx._try_in_a_process().endswith(sentence)
    assert bool(amx._try_in_a_process()) == bool(sentence)


def test_a_bundle_that_needs_amx_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "ask_for_tiles", lambda: "Linux does not lend its registers: no")
    with pytest.raises(BundleError, match=r"needs AMX: Linux does not .* with --target\.no-amx"):
        loader._check_tiles(["avx2", "amx_tile"])
    loader._check_tiles(["avx2"])
