"""Constraints that ask for the lowest versions that the project claims."""

import doctest
import tomllib

import pytest

from tools import lowest_versions


def test_its_example_is_true() -> None:
    failed, tried = doctest.testmod(lowest_versions)
    assert (failed, tried) == (0, 1)


def test_every_lower_bound_of_the_project_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    lowest_versions.main()
    printed = capsys.readouterr().out.split()
    needed = tomllib.loads(lowest_versions.PROJECT.read_text())["project"]["dependencies"]
    bounds = {name.split(",")[0].replace(">=", "==") for name in needed if ">=" in name}
    assert bounds <= set(printed)
