"""The fuzz: 348 random networks through capture, conversion and TVM, in process."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from hardware.errors import BuildError
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.convert import convert
from quant.errors import CaptureError
from quant.outputs import named_outputs
from quant.testing import prepare_calibrated, random_allocation, random_images
from tests.quant.output_networks import ENDINGS
from tests.quant.random_networks import IMAGE, SUPPORTED, UNSUPPORTED, Case, random_cases

NETWORKS = 348


@pytest.mark.slow  # compiles 348 networks
@pytest.mark.timeout(4 * 3600)
def test_random_networks_are_exact_outside_their_islands_or_refused(tmp_path: Path) -> None:
    workbench = Workbench(TargetConfig(kernel_cache=str(tmp_path), tune_s=0.0), 1)
    counts: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    for case in random_cases(NETWORKS, seed=2):
        if case.refused is None:
            _build(case, workbench)  # checks the agreement, and raises where there is none
            counts.update(set(case.operators))
            endings[case.ending or "logits"] += 1
            continue
        with pytest.raises((CaptureError, BuildError)) as caught:
            _build(case, workbench)
        assert "random_networks.py" in caught.value.message, case
        assert "\n" not in str(caught.value), case
        counts[case.refused] += 1
    for counted in (counts, endings):
        print("\n".join(f"{count:4} {name}" for name, count in counted.most_common()))
    assert all(counts[name] >= 20 for name in SUPPORTED)
    assert all(counts[name] >= 5 for name in UNSUPPORTED)
    assert all(endings[name] >= 3 for name in ENDINGS)


def _build(case: Case, workbench: Workbench) -> None:
    module, images = case.make(), random_images(16, IMAGE, seed=case.seed)
    network = prepare_calibrated(module, images)
    network.set_allocation(random_allocation(network.layers, np.random.default_rng(case.seed)))
    graph = pickle.loads(pickle.dumps(convert(network)))
    workbench.build(graph)  # every output of it beside the reference
    returned = workbench.run(graph, images[:1].numpy())
    found = returned if isinstance(returned, tuple) else (returned,)
    with torch.no_grad():
        expected = named_outputs(module(images[:1]))
    assert graph.outputs == tuple(expected), case
    assert [each.size for each in found] == [each.numel() for each in expected.values()], case
