"""Specialisation bench: each view's best allocation, deployed on all the others."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from experiments.bench.specialisation.cell import Cell
from experiments.bench.specialisation.deployed import Deployed, measure_deployed, predict_deployed
from experiments.bench.specialisation.losses import predict_losses
from experiments.bench.specialisation.made_for import MadeFor, measure_made_for, model_made_for
from experiments.bench.specialisation.results import Row, Specialisation
from experiments.bench.specialisation.retrained import retrain_all
from experiments.bench.specialisation.views import choose_views
from experiments.errors import BenchError, RunFolderError
from experiments.settings.configured import ConfiguredOptions
from experiments.stages.network_setup import NetworkSetup, set_up_network
from experiments.stages.resource_budget import ALL_8
from experiments.terminal.progress import LiveProgress
from hardware.open_device import open_device
from hardware.store import Store
from quant.allocation import Allocation
from quant.records.ranges import Natural, check_ranges, within


@dataclass(frozen=True, kw_only=True, slots=True)
class SpecialisationOptions(ConfiguredOptions):
    """What it costs to deploy an allocation on other kernels or cores than it was made for.

    Nothing is retrained but by --retrain: losses are predicted, from the network's sensitivities
    and what those meant in other networks. Times are measured, or modelled for boards that nobody
    has here.
    """

    views: tuple[str, ...] = ()
    """Kernel families of this machine, such as avx2 or avx512-vnni, one with +bytes for 3x3
    convolutions that are transformed to bytes at most, and modelled boards: rpi4, rpi5,
    jetson-orin. By default all that this machine has; rpi4 and rpi5 with LLVM's tools."""
    share: Annotated[float, within(0, 1)] = 0.3
    """Budget of each view, as a share of the way from the fastest uniform allocation's time to
    all-8's there."""
    retrain: Natural = 0
    """Seeds with which each view's best allocation is really retrained, as `final` says, and scored
    on the search split."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the figures there."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their ranges, and what cannot be written after minutes."""
        check_ranges(self, "--", BenchError)
        if self.json is not None and not self.json.parent.is_dir():
            raise RunFolderError(f"cannot write {self.json}: there is no folder {self.json.parent}")


def bench_specialisation(options: SpecialisationOptions) -> Specialisation:
    """Find each view's best allocation, and time all of them on every view.

    Raises:
        BenchError: a view that is none.
        BudgetError: a view has no allocation inside its budget.
        BuildError: the network cannot be compiled or measured on a view.
        HardwareLostError: the device is gone.
        TargetError: the device's CPU does not have a family.
        ToolchainError: a modelled board was asked for, and LLVM's tools are missing.
    """
    config = options.config
    chosen = choose_views(options.views, config.device_target)
    path = Path(config.store) if config.store else Path(config.output) / "store.sqlite"
    with LiveProgress(quiet=config.quiet) as progress, Store(path) as store:
        setup = set_up_network(config, progress)
        predicted = predict_losses(setup, store, progress)
        found: list[MadeFor] = []
        for view in chosen.views:
            if view.modelled:
                made = model_made_for(view, setup, predicted.losses, options.share, progress)
            else:
                opened = open_device(view.target, config.protocol, store=store)
                with closing(opened) as device:
                    made = measure_made_for(
                        view, device, setup, predicted.losses, options.share, store, progress
                    )
            found.append(made)
        deployed = [_deploy(made, setup, found, store, progress) for made in found]
        retrained = retrain_all(
            setup, [made.allocation for made in found], options.retrain, progress
        )
    all_8 = Allocation.uniform(setup.network.layers, ALL_8)
    return Specialisation(
        task=config.task.name,
        seed=config.seed,
        share=options.share,
        prior=predicted.source,
        metric=setup.task.objective.metric,
        left_out=chosen.left_out,
        rows=tuple(
            Row(
                view=made.view.name,
                device=made.device,
                source=made.source,
                budget=made.decided.reason,
                saves=made.saves,
                all_8_ms=on.times_ms[all_8],
                allocation=made.allocation,
                predicted_lost=predicted.lost(made.allocation),
                retrained=retrained[made.allocation],
                table=made.table,
            )
            for made, on in zip(found, deployed, strict=True)
        ),
        cells=tuple(
            _cell(made, column, on)
            for made in found
            for column, on in zip(found, deployed, strict=True)
        ),
    )


def _deploy(
    column: MadeFor,
    setup: NetworkSetup,
    rows: list[MadeFor],
    store: Store,
    progress: LiveProgress,
) -> Deployed:
    """Time or predict every row's allocation on one view."""
    allocations = [made.allocation for made in rows]
    if column.view.modelled:
        return predict_deployed(setup, allocations, column.decided, column.table)
    with closing(open_device(column.view.target, setup.config.protocol, store=store)) as device:
        return measure_deployed(
            device,
            setup,
            allocations,
            column.decided,
            column.table,
            partial(progress.stage, f"{column.view.name}: side by side"),
        )


def _cell(made: MadeFor, column: MadeFor, on: Deployed) -> Cell:
    return Cell(
        made_for=made.view.name,
        deployed_on=column.view.name,
        source=column.source,
        latency_ms=on.times_ms[made.allocation],
        own_ms=on.times_ms[column.allocation],
        limit_ms=on.limit_ms,
        stable=made.allocation not in on.unstable,
    )
