"""What a lane does when boards vanish, crash, hang or are busy: with a worker that is a script."""

from collections.abc import Callable
from typing import Any

import pytest

from hardware.errors import BoardBusyError, BoardLostError, BuildError, HardwareLostError
from hardware.host.remote.lane import Lane
from hardware.host.remote.reference_times import ReferenceTimes
from hardware.host.worker_client import WorkerLostError
from hardware.measuring.protocol import ProtocolConfig
from hardware.measuring.ruler import RulerReading
from hardware.target import TargetConfig

CONFIG = TargetConfig(board="rpi4", server="pi:9090", reconnect_s=30.0, busy_s=500.0)


class ScriptedWorker:
    """Answers each call of a method with the next step of its script; the last one stays."""

    def __init__(self, **script: list[Any]) -> None:
        self.script = script
        self.calls: list[str] = []
        self.closed = 0
        self.facts: dict[str, Any] = {}

    def call(self, method: str, *arguments: Any, limit_s: float) -> Any:
        self.calls.append(method)
        steps = self.script.get(method, [None])
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed += 1


class Clock:
    """Seconds that pass by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


def session(pid: int, end: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    return {"opened": {"pid": pid, "name": "pi", "last_end": end or {}}, "facts": facts}


def lane_with(
    worker: ScriptedWorker, expected: Callable[[Any], str] = lambda facts: ""
) -> tuple[Lane, Clock]:
    clock = Clock()
    lane = Lane(CONFIG, ProtocolConfig(), expected, sleep=clock.sleep, clock=clock)
    lane._worker = worker  # type: ignore[assignment]
    return lane, clock


def build(call: Any) -> Any:
    return call("build", "candidate")


LOST = BoardLostError("the session ended: kShutdown")


def test_work_is_done_in_a_session_that_ends_with_it() -> None:
    worker = ScriptedWorker(connect=[session(7)], build=["built"])
    lane, clock = lane_with(worker)
    assert lane.use(build) == "built"
    assert worker.calls == ["connect", "check_reference", "build", "release"]
    assert clock.pauses == []
    assert lane.board["name"] == "pi"


def test_a_candidate_that_crashes_is_told_at_once_and_not_tried_again() -> None:
    end = {"pid": 7, "code": -4, "signal": "SIGILL"}
    worker = ScriptedWorker(connect=[session(7), session(8, end)], build=[LOST])
    lane, _ = lane_with(worker)
    with pytest.raises(BuildError, match=r"ended the board's session with SIGILL"):
        lane.use(build)
    assert [call for call in worker.calls if call != "check_reference"] == [
        "connect",
        "build",
        "connect",
        "release",
    ]


@pytest.mark.parametrize(
    "end",
    [
        {},  # the board was started afresh and knows nothing
        {"pid": 3, "code": -4, "signal": "SIGILL"},  # an older session's crash
        {"pid": 7, "code": -9, "signal": "SIGKILL"},  # somebody ended it
    ],
)
def test_a_board_that_vanished_and_came_back_gives_a_second_chance(end: dict[str, Any]) -> None:
    worker = ScriptedWorker(connect=[session(7), session(8, end)], build=[LOST, "built"])
    lane, _ = lane_with(worker)
    assert lane.use(build) == "built"


def test_a_candidate_that_ends_two_sessions_of_a_board_that_is_well_has_failed() -> None:
    late = WorkerLostError("the measuring process took more than 60 s for 'time' and was killed")
    worker = ScriptedWorker(connect=[session(7), session(8), session(9)], build=[late])
    lane, _ = lane_with(worker)
    with pytest.raises(BuildError, match=r"took more than 60 s .*, 2 times in a row"):
        lane.use(build)
    assert worker.calls.count("build") == 2


def test_a_board_that_stays_away_is_tried_with_growing_pauses_and_then_lost() -> None:
    gone = BoardLostError("the board at pi:9090 does not answer", "start it")
    worker = ScriptedWorker(connect=[session(7), gone], build=[LOST])
    lane, clock = lane_with(worker)
    with pytest.raises(HardwareLostError, match=r"no board after .* s: the board at pi") as got:
        lane.use(build)
    assert not isinstance(got.value, BoardLostError)  # nobody may try again with it
    assert clock.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0])
    assert got.value.hint == "start it"


def test_a_board_that_hangs_while_connecting_is_lost_too() -> None:
    hung = WorkerLostError("the measuring process took more than 45 s for 'connect'")
    lane, clock = lane_with(ScriptedWorker(connect=[hung]))
    with pytest.raises(HardwareLostError, match="took more than 45 s"):
        lane.use(build)
    assert clock.now >= CONFIG.reconnect_s


def test_a_busy_board_is_waited_for_longer_than_a_lost_one() -> None:
    busy = BoardBusyError("all 1 boards are in use")
    worker = ScriptedWorker(connect=[*[busy] * 12, session(7)], build=["built"])
    lane, clock = lane_with(worker)
    assert lane.use(build) == "built"
    assert clock.now > CONFIG.reconnect_s
    lane, clock = lane_with(ScriptedWorker(connect=[busy]))
    with pytest.raises(HardwareLostError, match="in use"):
        lane.use(build)
    assert clock.now >= CONFIG.busy_s


def test_a_board_of_another_kind_is_never_used() -> None:
    worker = ScriptedWorker(
        connect=[session(7, model="Pi 3"), session(8, model="Pi 4")], build=["built"]
    )
    lane, _ = lane_with(worker, lambda facts: "" if facts["model"] == "Pi 4" else "differs")
    assert lane.use(build) == "built"
    assert worker.calls == [
        *("connect", "release"),
        *("connect", "check_reference", "build", "release"),
    ]
    assert lane.board["model"] == "Pi 4"


def test_a_board_that_must_not_be_used_is_not_tried_for_ever() -> None:
    class Alternating(ScriptedWorker):
        """Offers a wrong board, and is busy for a moment after it was refused."""

        def call(self, method: str, *arguments: Any, limit_s: float) -> Any:
            if method == "connect" and self.calls.count("connect") % 2:
                self.calls.append(method)
                raise BoardBusyError("all 1 boards are in use")
            return super().call(method, *arguments, limit_s=limit_s)

    lane, _ = lane_with(Alternating(connect=[session(7)]), lambda facts: "it differs")
    with pytest.raises(HardwareLostError, match="it differs"):
        lane.use(build)


def test_what_a_board_says_wrongly_is_not_retried() -> None:
    wrong = HardwareLostError("computes the reference kernel wrongly")
    worker = ScriptedWorker(connect=[session(7)], check_reference=[wrong])
    lane, clock = lane_with(worker)
    with pytest.raises(HardwareLostError, match="reference kernel wrongly"):
        lane.use(build)
    assert clock.pauses == []


def test_a_board_that_the_reference_kernel_crashes_is_another_board() -> None:
    end = {"pid": 7, "code": -4, "signal": "SIGILL"}
    worker = ScriptedWorker(connect=[session(7), session(8, end)], check_reference=[LOST])
    lane, clock = lane_with(worker)
    with pytest.raises(HardwareLostError, match=r"with SIGILL: .* not what target\.board=rpi4"):
        lane.use(build)
    assert clock.pauses == [0.1]


def test_what_needs_no_board_reaches_none() -> None:
    worker = ScriptedWorker(identity=[WorkerLostError("died"), "identity"])
    lane, _ = lane_with(worker)
    assert lane.compute("identity", "graph") == "identity"
    assert worker.calls == ["identity", "identity"]


def test_drift_of_the_reference_kernel_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    def reading(us: float) -> RulerReading:
        return RulerReading(before_us=us, after_us=us, best_us=us, waited_s=0.0, cpu_share=1.0)

    reference_times = ReferenceTimes()
    assert reference_times.note("pi", reading(10.0)) == 0.0
    assert reference_times.note("pi", reading(10.2)) == pytest.approx(0.02)
    assert not caplog.records
    assert reference_times.note("pi", reading(12.0)) == pytest.approx(0.2)
    assert "pi: the reference kernel takes 120 % of its first" in caplog.text
    reference_times.note("pi", reading(12.1))  # no news
    assert len(caplog.records) == 1
    assert reference_times.note("other", reading(50.0)) == 0.0
    assert reference_times.best_us("pi") == 10.0
