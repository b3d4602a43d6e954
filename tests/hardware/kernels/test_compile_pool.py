"""Compiling in processes of their own: what is missing, once each, and what ends a process."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardware.errors import BuildError
from hardware.kernels.compiling.cache import KernelCache
from hardware.kernels.compiling.compile_pool import compile_kernels
from hardware.kernels.compiling.target import KernelTarget
from hardware.target import TargetConfig
from quant.deploy_graph import Requantize
from tests.hardware.kernels.single_op import Bench

OP = Requantize(input="x", output="y", multiplier=0.1, zero_point=0, clip_min=0, clip_max=255)


def _plan(size: int) -> Any:
    return Bench("unused").plan(OP, [np.zeros((1, size), np.int16)], (1, size), "uint8")


def _end_the_process(symbol: str) -> Any:
    os._exit(1)


def _refuse(symbol: str) -> Any:
    raise ValueError("no such loop")


def test_what_is_missing_is_compiled_once_and_can_be_loaded(tmp_path: Path) -> None:
    config = TargetConfig(kernel_cache=str(tmp_path))
    cache, target = KernelCache(config), KernelTarget.of(config)
    cache.load([_plan(40)])
    seen: list[tuple[int, int]] = []
    plans = [_plan(size) for size in (40, 48, 56, 48)]
    report = compile_kernels(
        plans, cache, target, 2, lambda done, total: seen.append((done, total))
    )
    assert (report.kernels, report.compiled) == (3, 2)
    assert report.cpu_s > 0
    assert seen[-1] == (3, 3)
    before = cache.counts
    cache.load(plans)
    assert (cache.counts.hits - before.hits, cache.counts.misses - before.misses) == (2, 0)
    again = compile_kernels(plans, cache, target, 2)
    assert (again.kernels, again.compiled, again.cpu_s) == (3, 0, 0.0)


def test_a_kernel_that_does_not_compile_is_named(tmp_path: Path) -> None:
    config = TargetConfig(kernel_cache=str(tmp_path))
    cache, target = KernelCache(config), KernelTarget.of(config)
    with pytest.raises(BuildError, match=r"requantize.*no such loop"):
        compile_kernels([replace(_plan(40), build=_refuse)], cache, target, 1)
    with pytest.raises(BuildError, match="ended the process that compiled it"):
        compile_kernels([replace(_plan(40), build=_end_the_process)], cache, target, 1)
