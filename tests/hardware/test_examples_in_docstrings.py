"""Every example in a docstring says what the code does: `>>>` lines are run."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("quant", "hardware", "env", "agents", "experiments")


def modules_with_examples() -> list[str]:
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    found = (file for file in files if ">>> " in file.read_text(encoding="utf-8"))
    return sorted(".".join(file.relative_to(ROOT).with_suffix("").parts) for file in found)


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_of_a_module_are_true(name: str) -> None:
    failed, tried = doctest.testmod(import_module(name))
    assert tried > 0
    assert failed == 0
