"""Runtime bench: our kernels beside the runtimes that people would pick instead, in one process."""

import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from experiments.bench.peers.bitalloc_engine import (
    calibrate_network,
    mixed_allocation,
    tune_bitalloc,
)
from experiments.bench.peers.contender import ENGINES, Contender, Engine
from experiments.bench.runtime.contenders import check_engines, contenders_of, count_contenders
from experiments.bench.runtime.hidden import HIDING, as_seen, how_hidden
from experiments.bench.runtime.results import NetworkRuntimes, RuntimeBench, make_row
from experiments.bench.runtime.rounds import time_in_rounds
from experiments.bench.standard_networks import (
    STANDARD_NETWORKS,
    NetworkName,
    example_images,
    make_network,
)
from experiments.errors import BenchError
from experiments.settings.configured import ConfiguredOptions
from experiments.terminal.progress import LiveProgress
from hardware.kernels.planning.family_limits import FamilyLimits
from hardware.measuring.busy import busy_sentence
from hardware.measuring.host_facts import moment_facts, standing_facts
from hardware.measuring.lock import name_held
from hardware.target import TargetConfig
from hardware.worker.workbench import Workbench
from quant.records.ranges import at_least, check_ranges

_CALIBRATION_IMAGES = 4
_PACKAGES = ("onnx", "onnxruntime", "openvino", "torch")
_LEAST_REPEATS = 3
_BENCH = "bench-runtime"
_BESIDE = (
    "another bench runtime runs on this machine: what one of them compiles and loads slows the "
    "other's times, so run one after the other"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeOptions(ConfiguredOptions):
    """Milliseconds of our kernels beside those of other engines, on well-known networks."""

    networks: tuple[NetworkName, ...] = tuple(STANDARD_NETWORKS)
    """What is run."""
    engines: tuple[Engine, ...] = tuple(ENGINES)
    """What runs it."""
    repeats: Annotated[int, at_least(_LEAST_REPEATS)] = 30
    """Interleaved rounds."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""

    def __post_init__(self) -> None:
        """Refuse what has no quartiles, and names that come twice."""
        check_ranges(self, "--", BenchError)
        for flag, names in (("--networks", self.networks), ("--engines", self.engines)):
            if len(set(names)) < len(names):
                raise BenchError(f"{flag}: expected each name once, found {' '.join(names)}")


def bench_runtime(options: RuntimeOptions) -> RuntimeBench:
    """Time every engine on every network, on one thread.

    Raises:
        BenchError: a package is missing, or a library sees the vectors that are said to be hidden.
        BuildError: one of our programs cannot be built, or is wrong.
    """
    config = options.config
    if config.target.place != "local":
        raise BenchError(
            "bench runtime: expected target.runner=local, as the engines run on this machine, "
            f"found {config.target.place}"
        )
    check_engines(options.engines)
    target = as_seen(config.device_target)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with name_held(_BENCH) as others, LiveProgress(quiet=config.quiet) as progress:
            machine = _machine(target) | {"busy": _BESIDE if others else busy_sentence()}
            if machine["busy"]:
                print(machine["busy"], file=sys.stderr)
            limits = FamilyLimits(target)
            networks = tuple(
                _bench_network(name, options, target, config.seed, limits, progress)
                for name in options.networks
            )
    finally:
        torch.set_num_threads(threads)
    command = options.typed
    if machine["hidden"]:
        command = command.replace("python", " ".join(HIDING), 1)
    return RuntimeBench(machine=machine, command=command, networks=networks)


def _bench_network(
    name: NetworkName,
    options: RuntimeOptions,
    target: TargetConfig,
    seed: int,
    limits: FamilyLimits,
    progress: LiveProgress,
) -> NetworkRuntimes:
    module = make_network(name, seed)
    images = example_images(name, _CALIBRATION_IMAGES, seed + 1)
    # One image is enough for ours: the codes are drawn anew, and time does not depend on scales.
    network = calibrate_network(module, images[:1])
    mixed = mixed_allocation(network, seed)
    if "bitalloc" in options.engines:
        tiles = tune_bitalloc(
            network,
            mixed,
            target,
            lambda done, total, what: progress.stage(f"{name}: tiles", done, total, what),
        )
        print(f"{name}: {tiles.sentence}")
    contenders: list[Contender] = []
    total = count_contenders(options.engines)
    progress.stage(f"{name}: loading", 0, total)
    for contender in contenders_of(
        module, network, images, engines=options.engines, mixed=mixed, target=target, seed=seed
    ):
        contenders.append(contender)
        progress.stage(f"{name}: loading", len(contenders), total, contender.label)
    families = {share.family for contender in contenders for share in contender.shares}
    limits.measure(families)
    taken = time_in_rounds(
        contenders,
        options.repeats,
        seed,
        lambda done, total: progress.stage(f"{name}: rounds", done, total),
    )
    # Before and after: the better value is nearer to what the core can do.
    known = limits.measure(families)
    return NetworkRuntimes(
        network=name,
        limits_gmacs={family.name: known[family.name] for family in families},
        macs=sum(layer.macs for layer in network.layers),
        rows=tuple(
            make_row(
                name,
                contender,
                repeats,
                limits.least_ms(contender.shares) if contender.shares else None,
            )
            for contender, repeats in zip(contenders, taken, strict=True)
        ),
        mixed=mixed,
        families={
            contender.label: Counter(contender.families)
            for contender in contenders
            if contender.families
        },
        rounds=options.repeats,
    )


def _machine(target: TargetConfig) -> dict[str, Any]:
    """Return what the figures depend on, and how wide vectors were hidden."""
    packages = {}
    for package in _PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        **standing_facts(),
        **packages,
        **Workbench(target, 1).facts(),
        "threads": 1,
        "hidden": how_hidden(),
        "before": moment_facts(),
    }
