"""TileTrial: one layer's families and schedules side by side, in the process that loaded TVM."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np

from hardware.errors import BuildError
from hardware.graph.agreement import fixed_input
from hardware.kernels.families.family import Family
from hardware.kernels.planning.context import PlanContext
from hardware.kernels.schedule.schedule import Schedule, candidates
from hardware.kernels.shapes.geometry import Geometry
from hardware.measuring.ruler import read_ruler_us
from hardware.worker.program.program import Runnable
from hardware.worker.tiles.choices import TileChoices
from hardware.worker.tiles.layers import families_of, layers_at
from quant.deploy_graph import DeployGraph

_SCHEDULES = 6
"""Schedules that are compiled for one choice, the default among them. Measured over 88 shapes and
families: the fastest of the first six takes 1.7 % longer than that of the first sixteen (mean), the
default 8.6 % longer."""
_ROUNDS = 32
"""Rounds, of which the quieter half counts."""
_SAMPLE_MS = 0.5
"""Executions of one sample take about this long: short beside what disturbs a shared machine."""
_GAIN = 1.02
"""Gain over the default from which another tile is kept: less does not repeat."""
_SEED = 0


class _Timed(Protocol):
    """What is timed of a program."""

    def time_repeats(self, loops: int, repeats: int) -> list[float]:
        """Return milliseconds of one execution in each repeat."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to compute a layer."""

    family: Family
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class TileTrial:
    """One layer's ways as programs, the default before others.

    As long as no family is chosen, each has one schedule; then the chosen one's are tried.
    """

    geometry: Geometry
    families: tuple[Family, ...]
    """Those that are tried, the rule's first."""
    programs: Mapping[Way, Runnable]

    @classmethod
    def of(
        cls,
        part: DeployGraph,
        context: PlanContext,
        choices: TileChoices,
        make_programs: Callable[[Sequence[Way]], Sequence[Runnable]],
    ) -> "TileTrial":
        """Compile the ways that promise most, and compare what they compute.

        Args:
            part: One layer as a network of its own.
            context: Of this network.
            choices: Tells whether a family is chosen, and which schedules are.
            make_programs: Compiles the network in each way.

        Raises:
            BuildError: a way cannot be compiled, or computes something else than the default.
        """
        (op,) = part.decided_ops()
        ((layer, plan),) = layers_at(context, {op.layer: [op.pair]})
        families = families_of(layer, plan, context)
        chosen = choices.find_family(plan.geometry, families)
        if chosen is None:
            ways = [Way(one, choices.schedule(plan.geometry, one)) for one in families]
        else:
            families = (chosen,)
            found = candidates(plan.geometry, chosen)[:_SCHEDULES]
            ways = [Way(chosen, schedule) for schedule in found]
        x = fixed_input(part, context.batch)
        programs = make_programs(ways)
        expected = None
        for way, program in zip(ways, programs, strict=True):
            output = program.run(x)
            expected = output if expected is None else expected
            if not np.array_equal(output, expected):
                raise BuildError(
                    f"{part.network}: {way.family.name} with {way.schedule} and the default tile "
                    "disagree"
                )
        return cls(plan.geometry, families, dict(zip(ways, programs, strict=True)))

    def decide(self, choices: TileChoices, ruler_us: Callable[[], float] = read_ruler_us) -> bool:
        """Time all ways and keep the fastest; return whether it is another than the default.

        Args:
            choices: Where to keep what is fastest.
            ruler_us: Tells how slow the machine that runs them is at the moment.
        """
        ways = list(self.programs)
        times_ms = time_interleaved(list(self.programs.values()), ruler_us)
        best = fastest(times_ms)
        quiet_us = [1000.0 * _quiet_ms(row) for row in times_ms]
        if len(self.families) > 1:
            names = [family.name for family in self.families]
            measured = {"us": dict(zip(names, quiet_us, strict=True))}
            choices.keep_family(self.geometry, self.families, best, measured)
        else:
            choices.keep(
                self.geometry,
                self.families[0],
                ways[best].schedule,
                {
                    "default_us": quiet_us[0],
                    "kept_us": quiet_us[best],
                    "schedules": len(ways),
                },
            )
        return best != 0


def time_interleaved(
    programs: Sequence[_Timed], ruler_us: Callable[[], float] = read_ruler_us
) -> list[list[float]]:
    """Return `[program][round]` milliseconds of one execution, of the quieter half of all rounds.

    Args:
        programs: What is timed, in a new order in every round.
        ruler_us: Tells how slow the machine is at the moment.
    """
    loops = [ceil(_SAMPLE_MS / max(1e-6, one.time_repeats(1, 2)[1])) for one in programs]
    rng = np.random.default_rng(_SEED)
    rounds: list[tuple[float, list[float]]] = []
    before_us = ruler_us()
    for _ in range(_ROUNDS if len(programs) > 1 else 2):
        times_ms = [0.0] * len(programs)
        for index in rng.permutation(len(programs)):
            (times_ms[index],) = programs[index].time_repeats(loops[index], 1)
        after_us = ruler_us()
        rounds.append((max(before_us, after_us), times_ms))
        before_us = after_us
    quiet = sorted(rounds, key=lambda item: item[0])[: len(rounds) // 2]
    return [list(row) for row in zip(*(times_ms for _, times_ms in quiet), strict=True)]


def fastest(times_ms: Sequence[Sequence[float]]) -> int:
    """Return which program is fastest; the first, unless another clearly beats it.

    It must be faster where the machine was quiet, and in most rounds: one lucky sample is no gain.

    Args:
        times_ms: `[program][round]`.
    """
    default, default_ms = times_ms[0], _quiet_ms(times_ms[0])
    best = 0
    for index, row in enumerate(times_ms):
        wins = sum(mine < other for mine, other in zip(row, default, strict=True))
        gains = _quiet_ms(row) * _GAIN < default_ms and 2 * wins > len(row)
        if gains and _quiet_ms(row) < _quiet_ms(times_ms[best]):
            best = index
    return best


def _quiet_ms(row: Sequence[float]) -> float:
    """Return one of the shortest: whatever else runs on a machine only ever adds time."""
    return sorted(row)[len(row) // 8]
