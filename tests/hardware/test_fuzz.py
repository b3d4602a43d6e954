"""The fuzz: 300 random networks through capture, conversion and TVM, in process."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hardware.errors import BuildError
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.convert import convert
from quant.errors import CaptureError
from quant.testing import prepare_calibrated, random_allocation, random_images
from tests.quant.random_networks import IMAGE, SUPPORTED, UNSUPPORTED, Case, random_cases

NETWORKS = 300


@pytest.mark.slow  # compiles 300 networks
@pytest.mark.timeout(4 * 3600)
def test_random_networks_are_exact_outside_their_islands_or_refused(tmp_path: Path) -> None:
    workbench = Workbench(TargetConfig(kernel_cache=str(tmp_path), tune_s=0.0), 1)
    counts: Counter[str] = Counter()
    for case in random_cases(NETWORKS, seed=2):
        if case.refused is None:
            _build(case, workbench)  # checks the agreement, and raises where there is none
            counts.update(set(case.operators))
            continue
        with pytest.raises((CaptureError, BuildError)) as caught:
            _build(case, workbench)
        assert "random_networks.py" in caught.value.message, case
        assert "\n" not in str(caught.value), case
        counts[case.refused] += 1
    print("\n".join(f"{count:4} {name}" for name, count in counts.most_common()))
    assert all(counts[name] >= 20 for name in SUPPORTED)
    assert all(counts[name] >= 5 for name in UNSUPPORTED)


def _build(case: Case, workbench: Workbench) -> None:
    images = random_images(16, IMAGE, seed=case.seed)
    network = prepare_calibrated(case.make(), images)
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(case.seed)))
    workbench.build(pickle.loads(pickle.dumps(convert(network))))
