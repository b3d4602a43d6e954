"""README's lines of Python, as they stand there."""

import re
from pathlib import Path

import pytest

from quant.retraining.finetune_config import FinetuneConfig

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_lines_of_python_run_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(import bitalloc.*?)```", README.read_text(), re.DOTALL)
    assert len(program.splitlines()) <= 12
    monkeypatch.chdir(tmp_path)
    # The search of tiles and the long retraining take minutes and change no line.
    settings = 'method="uniform", tune=False, quiet=True, final=FinetuneConfig(steps=5)'
    quick = program.replace('method="uniform"', settings)
    exec(compile(quick, str(README), "exec"), {"FinetuneConfig": FinetuneConfig})
    assert "'name': 'best found'" in capsys.readouterr().out
    assert (tmp_path / "bundle" / "run.py").exists()
    assert (tmp_path / "runs" / "latest" / "evaluate.json").exists()
