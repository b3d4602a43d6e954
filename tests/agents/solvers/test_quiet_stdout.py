"""Lines of C that nobody asked for stay away from stdout, and all others do not."""

import ctypes
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from agents.solvers.choice_problem import ChoiceProblem, LayerChoices
from agents.solvers.exact import solve_program
from agents.solvers.quiet_stdout import without_lines

_C = ctypes.CDLL(None)


def test_one_kind_of_lines_is_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    _C.puts(b"before")
    with without_lines(b"Mending"):
        _C.puts(b"Mending a solution")
        os.write(1, b"another thread's\n")
        _C.puts(b"not Mending")
    _C.puts(b"after")
    _C.fflush(None)
    assert capfd.readouterr().out == "before\nanother thread's\nnot Mending\nafter\n"


def test_an_error_comes_through_and_stdout_is_back(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), without_lines(b"Mending"):
        raise KeyError
    os.write(1, b"Mending is heard again\n")
    assert capfd.readouterr().out == "Mending is heard again\n"


def test_a_process_without_stdout_goes_on() -> None:
    program = "import os; os.close(1)\n"
    program += "from agents.solvers.quiet_stdout import without_lines\n"
    program += "with without_lines(b'x'): pass"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_integer_program_that_is_mended_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """HiGHS 1.12 prints its line once for this one."""
    rng = np.random.default_rng(3)
    pairs = tuple(itertools.product((2, 4, 6, 8), repeat=2))
    weights, activations = np.array(pairs).T
    layers = []
    for layer in range(int(rng.integers(8, 30))):
        sensitivity = np.exp(rng.normal(0, 2))
        losses = sensitivity * (2.0**-weights + rng.random() * 2.0**-activations)
        scale = rng.integers(10**5, 10**8)
        times = scale * (weights + activations) / 16 * rng.uniform(0.9, 1.1, len(pairs))
        sizes = rng.integers(10**3, 10**6) * weights // 8
        layers.append(
            LayerChoices(
                layer=f"l{layer}",
                steps=(2 * layer, 2 * layer + 1),
                pairs=pairs,
                losses=losses,
                costs=np.stack([times.astype(np.int64), sizes], axis=1),
            )
        )
    free = ChoiceProblem(layers=tuple(layers), limits=np.full(2, 10**15))
    problem = free.with_limits(free.cost(tuple(int(rng.integers(len(pairs))) for _ in layers)))
    first = solve_program(problem)
    assert first is not None
    assert solve_program(problem, [first]) not in (None, first)
    _C.fflush(None)
    assert not capfd.readouterr().out
