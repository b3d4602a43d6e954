"""A night of evaluations in one process must not fill the machine."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from env.evaluating.env_config import EnvConfig
from env.evaluating.evaluator import Evaluator
from env.tasks.task import Split
from hardware.host.local.device import LocalDevice
from hardware.measuring.protocol import ProtocolConfig
from hardware.target import TargetConfig
from quant.retraining.finetune_config import FinetuneConfig
from quant.testing import TinyResidualNet, prepare_calibrated, random_allocation, random_images

EVALUATIONS = 500
WARM_UP = 60
"""Evaluations before the first reading: by then nearly every kernel is loaded once."""
MOST_GROWTH_BYTES = 100e6
MOST_NEW_MAPS = 200


def usage() -> tuple[float, int]:
    """Return resident bytes and memory maps of this process and its worker together."""
    me = psutil.Process()
    processes = [me, *me.children(recursive=True)]
    maps = [Path(f"/proc/{process.pid}/maps").read_text() for process in processes]
    return (
        float(sum(process.memory_info().rss for process in processes)),
        sum(text.count("\n") for text in maps),
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_five_hundred_evaluations_in_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    images, rng = random_images(64, (1, 8, 8), seed=0), np.random.default_rng(0)
    network = prepare_calibrated(TinyResidualNet(), images)
    split = Split(images=images, labels=network(images).argmax(1))
    protocol = ProtocolConfig(warmups=0, repeats=5, min_repeat_ms=0.2)
    config = EnvConfig(finetune=FinetuneConfig(steps=1, compensation_images=8, held_back_images=8))
    with LocalDevice(TargetConfig(), protocol) as device:
        evaluator = Evaluator(network, device, split, split, config, seed=0, limit=EVALUATIONS)
        seen = set()
        for number in range(EVALUATIONS):
            if number == WARM_UP:
                before_bytes, before_maps = usage()
            allocation = random_allocation(network.layers, rng, range(2, 9))
            seen.add(allocation)
            assert evaluator.evaluate([allocation])[0].error == ""
        after_bytes, after_maps = usage()
    with capsys.disabled():
        print(
            f"\n{EVALUATIONS} evaluations, {len(seen)} different: "
            f"{(after_bytes - before_bytes) / 1e6:+.1f} MB, {after_maps - before_maps:+d} maps"
        )
    assert after_bytes - before_bytes < MOST_GROWTH_BYTES
    assert after_maps - before_maps < MOST_NEW_MAPS
