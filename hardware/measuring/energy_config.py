"""EnergyConfig: which meter tells the energy of a program, and how long it is read."""

from dataclasses import dataclass
from typing import Annotated, Literal

from hardware.energy.energy import MODELLED, NO_METER
from hardware.energy.open_meter import WHAT_TO_CONNECT
from hardware.energy.window import ATTEMPTS, LEAST_IDLE_SAMPLES, LEAST_SAMPLES, WindowPlan
from hardware.errors import TargetError
from quant.records.ranges import Count, Seconds, check_ranges, more_than

MeterKind = Literal["none", "auto", "rapl", "ina3221", "pmic", "external", "modelled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyConfig:
    """Where joules come from. Without a meter there are none."""

    meter: MeterKind = "none"
    """`auto` takes the first of rapl, ina3221 and pmic that is there. `external` is a command or a
    CSV file. `modelled` is no meter: named watts times measured time, labelled as such."""
    command: str = ""
    """Of an external meter: prints a line such as `3.21 W` (power now) or `1500 J` (energy so
    far)."""
    csv: str = ""
    """Of an external meter: a file that its program appends `timestamp,watts` to."""
    external_on: Literal["host", "board"] = "host"
    """Where an external meter of a board is read: on this machine, or on the board itself."""
    interval_s: Seconds = 0.1
    """Time between two runs of the command; the window is at least 30 of them long."""
    modelled_w: Annotated[float | None, more_than(0)] = None
    """Watts of the modelled source."""
    window_s: Seconds = 3.0
    """Shortest time that a program is run again and again while the meter is read."""
    idle_s: Seconds = 1.0
    """Shortest look at the idle device before it."""
    layer_programs: Count = 12
    """Whole programs whose windows the layers' energies are told apart by."""

    def __post_init__(self) -> None:
        """Refuse meters that are not described, and descriptions of none."""
        self._check_external()
        if (self.meter == MODELLED) != (self.modelled_w is not None):
            raise TargetError(
                f"energy.modelled_w: a modelled source and its watts are named together, found "
                f"energy.meter {self.meter} and modelled_w {self.modelled_w}",
                "for example --energy.meter modelled --energy.modelled-w 3.5",
            )
        check_ranges(self, "energy.", TargetError)

    @property
    def known(self) -> bool:
        """Whether programs get an energy at all."""
        return self.meter != NO_METER

    @property
    def on_board(self) -> bool:
        """Whether the meter of a board is read there."""
        if self.meter == "external":
            return self.external_on == "board"
        return self.meter not in (NO_METER, MODELLED)

    @property
    def longest_silence_s(self) -> float:
        """The longest that one part of a window lasts, or idling, with some room."""
        plan = self.plan
        window_s = max(plan.window_s, LEAST_SAMPLES * self.interval_s)
        return max(2.0 * window_s / plan.blocks, plan.idle_s, LEAST_IDLE_SAMPLES * self.interval_s)

    @property
    def longest_window_s(self) -> float:
        """The longest that measuring one program takes, repetitions of a short window included."""
        plan = self.plan
        window_s = max(plan.window_s, LEAST_SAMPLES * self.interval_s)
        return 2.0 * ATTEMPTS * (window_s + plan.idle_s + LEAST_IDLE_SAMPLES * self.interval_s)

    @property
    def plan(self) -> WindowPlan:
        """How long the meter is read."""
        return WindowPlan(window_s=self.window_s, idle_s=self.idle_s)

    def require(self, key: str) -> None:
        """Refuse a setting that needs energies where there are none.

        Raises:
            TargetError: names the setting and what to connect.
        """
        if not self.known:
            raise TargetError(
                f"{key} needs to know energies, found energy.meter: {self.meter}",
                f"try --energy.meter auto; {WHAT_TO_CONNECT}",
            )

    def _check_external(self) -> None:
        given = [name for name in ("command", "csv") if getattr(self, name)]
        if self.meter == "external" and len(given) != 1:
            raise TargetError(
                "energy.meter: external needs one of energy.command and energy.csv, found "
                f"{' and '.join(given) or 'neither'}",
                "a command prints a line such as 3.21 W; a CSV file has timestamp,watts",
            )
        if given and self.meter != "external":
            raise TargetError(
                f"energy.{given[0]} describes an external meter, found energy.meter: {self.meter}",
                "add --energy.meter external",
            )
