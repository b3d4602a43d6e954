"""A crew whose machines are made up: what is lost with them is done by others."""

from types import SimpleNamespace
from typing import Any

import pytest

from env.evaluating.training_pool import WorkersConfig
from experiments.cluster import crew as crew_module
from experiments.cluster.crew import Crew
from experiments.errors import ConfigError
from hardware.errors import HardwareLostError
from quant.errors import TrainingError


class Lost(Exception):
    """What this Ray raises of whoever is gone."""


class Promise:
    """What a process will have returned, or why it will not."""

    def __init__(self, machine: "Machine", work: Any) -> None:
        self.machine, self.work = machine, work

    @property
    def known(self) -> bool:
        return self.machine.answers or self.machine.gone


class Machine:
    """A process of the made-up cluster."""

    def __init__(self) -> None:
        self.answers, self.gone = True, False
        self.fails = 0
        """Pieces that it is lost with before it does one."""
        self.returns = True
        """Whether it answers again after that."""
        self.did: list[Any] = []

    def __getattr__(self, method: str) -> Any:
        def remote(*arguments: Any) -> Promise:
            return Promise(self, (method, arguments))

        return SimpleNamespace(remote=remote, options=lambda **_: SimpleNamespace(remote=remote))


class MadeUpRay:
    """As much of Ray as a crew asks for."""

    exceptions = SimpleNamespace(
        **dict.fromkeys(
            (
                *("RayActorError", "ObjectLostError", "OutOfMemoryError"),
                *("NodeDiedError", "WorkerCrashedError"),
            ),
            Lost,
        )
    )

    def __init__(self, machines: list[Machine]) -> None:
        self.machines = iter(machines)
        self.waits = 0

    def remote(self, **options: Any) -> Any:
        assert options["max_task_retries"] == 0, "a piece is done again by whoever is free"
        return lambda kind: SimpleNamespace(remote=lambda held: next(self.machines))

    def put(self, held: object) -> object:
        return held

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2}

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": 1}}]

    def wait(self, promises: list[Promise], *, num_returns: int, timeout: float) -> Any:
        self.waits += 1
        assert self.waits < 10_000, "it waits for ever"
        done = [promise for promise in promises if promise.known][:num_returns]
        return done, [promise for promise in promises if promise not in done]

    def get(self, promise: Promise) -> Any:
        machine, (method, arguments) = promise.machine, promise.work
        if machine.gone:
            raise Lost("it is gone")
        if method == "__ray_ready__":
            return True
        if machine.fails:
            machine.fails -= 1
            machine.answers = machine.returns
            raise Lost("it was killed")
        machine.did.append(arguments[0])
        return arguments[0]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> tuple[Crew, list[Machine]]:
    machines = [Machine(), Machine()]
    ray = MadeUpRay(machines)
    monkeypatch.setattr(crew_module, "connect", lambda address, processors: ray)
    return Crew(WorkersConfig(ray="auto", workers=2), object, None, threads=1), machines


def test_work_is_divided_and_comes_in_order(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    assert [piece.result() for piece in [crew.ask("square", n) for n in range(9)]] == list(range(9))
    assert sorted(machines[0].did + machines[1].did) == list(range(9))
    assert all(machine.did for machine in machines)


def test_what_was_lost_is_done_by_whoever_is_free(two: tuple[Crew, list[Machine]]) -> None:
    """The second machine does not come back: nobody waits for it."""
    crew, machines = two
    machines[1].fails, machines[1].returns = 1, False
    assert [piece.result() for piece in [crew.ask("square", n) for n in range(6)]] == list(range(6))
    assert sorted(machines[0].did) == list(range(6))
    assert not machines[1].did


def test_a_worker_that_cannot_begin_keeps_nothing_from_others(
    two: tuple[Crew, list[Machine]],
) -> None:
    crew, machines = two
    machines[1].answers = False
    assert [piece.result() for piece in [crew.ask("square", n) for n in range(4)]] == [0, 1, 2, 3]
    assert machines[0].did == [0, 1, 2, 3]


def test_work_that_kills_each_worker_is_given_up(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    machines[0].fails = machines[1].fails = 3
    asked = crew.ask("square", 1)
    with pytest.raises(HardwareLostError, match="lost with each of the machines") as raised:
        asked.result()
    assert "--resume" in raised.value.hint
    assert crew.ask("square", 2).result() == 2


def test_a_crew_without_workers_stops_after_ten_minutes(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    for machine in machines:
        machine.answers = False
    clock = iter(range(0, 10_000, 100))
    with pytest.raises(HardwareLostError, match="no machine of the Ray cluster is left"):
        crew.finish(crew.ask("square", 1), now=lambda: float(next(clock)))


def test_a_crew_whose_last_worker_is_gone_for_good_stops(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    for machine in machines:
        machine.gone = True
    with pytest.raises(HardwareLostError, match=r"the last worker .* it is gone"):
        crew.ask("square", 1).result()


def test_an_error_of_the_work_is_its_result(two: tuple[Crew, list[Machine]]) -> None:
    crew, _ = two
    with pytest.raises(TrainingError, match="became nan"):
        crew.ask("square", TrainingError("the loss became nan")).result()


def test_what_is_called_off_is_done_by_nobody(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    for machine in machines:
        machine.answers = False
    asked = crew.ask("square", 1)
    asked.cancel()
    for machine in machines:
        machine.answers = True
    assert crew.ask("square", 2).result() == 2
    assert not any(1 in machine.did for machine in machines)


def test_a_cluster_without_room_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "connect", lambda address, processors: MadeUpRay([]))
    with pytest.raises(ConfigError, match="a machine of the cluster with 4 CPU for each worker"):
        Crew(WorkersConfig(ray="auto"), object, None, threads=4)
