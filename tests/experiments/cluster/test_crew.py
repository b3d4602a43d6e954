"""A crew whose machines are made up: what is lost with them is done by others."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from env.evaluating.training_pool import WorkersConfig
from experiments.cluster import crew as crew_module
from experiments.cluster.crew import Crew
from experiments.cluster.same_program import asked_of_workers
from experiments.errors import ConfigError
from hardware.errors import HardwareLostError
from quant.errors import DataError, TrainingError


class Lost(Exception):
    """What this Ray raises of whoever is gone."""

    actor_init_failed = False


class NeverBegan(Lost):
    """What it raises of a worker that could not be made."""

    actor_init_failed = True


class EndedForMemory(Exception):
    """What it raises of a worker that it ended before the machine's memory did."""


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
        self.facts = asked_of_workers()(self)
        self.raises: Exception = Lost("it was killed")
        self.cancelled: list[Any] = []
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
            ("RayActorError", "ObjectLostError", "NodeDiedError", "WorkerCrashedError"),
            Lost,
        ),
        OutOfMemoryError=EndedForMemory,
    )

    def __init__(self, machines: list[Machine]) -> None:
        self.machines = iter(machines)
        self.waits = 0
        self.ended = False

    def remote(self, **options: Any) -> Any:
        assert options["max_task_retries"] == 0, "a piece is done again by whoever is free"
        return lambda kind: SimpleNamespace(remote=lambda held: next(self.machines))

    def put(self, held: object) -> object:
        return held

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2}

    def cancel(self, promise: Promise, *, force: bool) -> None:
        assert not force
        promise.machine.cancelled.append(promise.work[1][0])

    def shutdown(self) -> None:
        self.ended = True

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
            raise machine.raises
        if method == "__ray_call__":
            return machine.facts
        if machine.fails:
            machine.fails -= 1
            machine.answers = machine.returns
            raise machine.raises
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
    with pytest.raises(HardwareLostError, match="lost with each of the workers") as raised:
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
    with pytest.raises(HardwareLostError, match=r"the last worker .* it was killed"):
        crew.ask("square", 1).result()


def test_workers_that_cannot_be_made_are_a_users_mistake(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    traceback = "died in its creation task,\n  File there\nNo module named 'own_loss'\n\n"
    for machine in machines:
        machine.gone, machine.raises = True, NeverBegan(traceback)
    with pytest.raises(ConfigError, match=r"can begin: No module named 'own_loss'") as raised:
        crew.ask("square", 1).result()
    assert "at the same paths" in raised.value.hint


@pytest.mark.parametrize(
    ("fact", "sentence"),
    [
        ({"sources": ""}, r"machine old-box as well, found another version of BitAlloc"),
        ({"torch": "1.0+cpu"}, r"machine old-box as well, found PyTorch 1.0\+cpu, which is"),
    ],
)
def test_a_machine_with_another_program_does_no_work(
    two: tuple[Crew, list[Machine]], fact: dict[str, str], sentence: str
) -> None:
    crew, machines = two
    machines[1].facts |= {"host": "old-box", **fact}
    with pytest.raises(ConfigError, match=sentence):
        crew.ask("square", 1).result()
    assert not machines[1].did


def test_a_pytorch_for_gpus_is_the_one_for_cpus(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    release = machines[1].facts["torch"].partition("+")[0]
    machines[1].facts["torch"] = f"{release}+cu999"
    assert crew.ask("square", 1).result() == 1


@pytest.mark.parametrize(
    "raised",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        EndedForMemory("Task was killed due to the node running low on memory"),
    ],
)
def test_work_for_which_a_machine_is_too_small_is_anothers(
    two: tuple[Crew, list[Machine]], raised: Exception
) -> None:
    crew, machines = two
    machines[0].fails, machines[0].raises = 1, raised
    assert [piece.result() for piece in [crew.ask("square", n) for n in range(6)]] == list(range(6))
    assert sorted(machines[0].did + machines[1].did) == list(range(6))
    assert machines[0].cancelled, "what waited behind it was called off before others did it"
    for machine in machines:
        machine.fails, machine.raises = 3, raised
    with pytest.raises(HardwareLostError, match="there was too little memory") as error:
        crew.ask("square", 1).result()
    assert "fewer workers" in error.value.hint


def test_a_defect_of_the_work_is_raised_as_it_is(two: tuple[Crew, list[Machine]]) -> None:
    crew, machines = two
    machines[0].fails, machines[0].raises = 1, ZeroDivisionError("a defect")
    with pytest.raises(ZeroDivisionError, match="a defect"):
        _ = [piece.result() for piece in [crew.ask("square", n) for n in range(6)]]


def test_a_file_that_another_machine_cannot_read_is_said_with_its_name(
    two: tuple[Crew, list[Machine]],
) -> None:
    crew, machines = two
    broken = DataError("cannot read the image a.jpg: no such file", "remove or mend it")
    for machine in machines:
        machine.facts["host"] = "far"
    with pytest.raises(DataError, match=r"a.jpg: no such file, on far \(remove"):
        crew.ask("square", broken).result()


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
    ray = MadeUpRay([])
    monkeypatch.setattr(crew_module, "connect", lambda address, processors: ray)
    with pytest.raises(ConfigError, match="a machine of the cluster with 4 CPU for each worker"):
        Crew(WorkersConfig(ray="auto"), object, None, threads=4)
    assert ray.ended, "the next one joins the cluster that it names"
