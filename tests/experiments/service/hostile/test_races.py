"""Two things at once: what one of them took away is missed by the other, and said in a sentence."""

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from experiments.service.client.client import RefusalError
from experiments.service.errors import NoJobError
from experiments.service.store.job import State
from experiments.service.store.tokens import Role
from experiments.service.store.uploads import DATA, Uploads
from experiments.service.web import service as service_module
from experiments.service.web.artifacts import Artifacts
from experiments.service.web.routes import events
from tests.experiments.service.here import FOR_A_BOARD, Here


def test_a_request_is_one_job_though_it_would_be_refused_by_now(here: Here) -> None:
    child = {"kind": "evaluate", "id": "child", "of": "parent"}
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="parent")
        assert here.ask("POST", "/v1/jobs", json=child).status_code == 201
        client.cancel("parent")
    assert here.ask("POST", "/v1/jobs", json=child).status_code == 200
    other = here.ask("POST", "/v1/jobs", json={**child, "id": "child-2"})
    assert other.status_code == 422
    assert "which is cancelled" in other.json()["detail"]
    body = b'{"kind": "measure", "id": "child", "settings": {"evaluations": NaN}}'
    headers = {"Content-Type": "application/json"}
    assert here.ask("POST", "/v1/jobs", content=body, headers=headers).status_code == 409


def test_a_job_that_is_deleted_twice_at_once_is_gone(here: Here) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="twice")
        client.cancel("twice")
    job = here.service.jobs.get("twice")
    here.service.forget(job, "ulf")
    with pytest.raises(NoJobError, match="no job twice"):
        here.service.forget(job, "ulf")


def test_a_job_that_is_cancelled_as_it_loses_its_board_ends(here: Here) -> None:
    """The supervisor may put a job back into the queue just before it is cancelled."""
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="crossed")
        job = here.service.jobs.get("crossed")
        here.service.jobs.change(job, cancelled=True)
        here.service.supervisor.wake()
        assert client.wait("crossed")["state"] == "cancelled"


def test_a_stream_ends_with_its_token(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_HEARTBEAT_S", 0.2)
    token = here.service.tokens.create("leaver", Role.USER)
    with here.client(token) as client:
        client.submit("search", FOR_A_BOARD, id="left")
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        url = f"{here.url}/v1/jobs/left/events"
        with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
            lines = answer.iter_lines()
            while "still there" not in next(lines):
                pass
            here.service.tokens.revoke("leaver")
            assert "event: end" not in list(lines)
        with pytest.raises(RefusalError, match="was revoked"):
            client.wait("left")
    here.ask("POST", "/v1/jobs/left/cancel", here.operator)


def test_a_file_that_grows_is_sent_as_long_as_it_was(here: Here, tmp_path: Path) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="grows")
        folder = here.service.folder.job("grows")
        folder.path.mkdir()
        names = (folder.log, folder.path / "measured.json")
        for name in names:
            name.write_bytes(bytes(1 << 22))
        done = threading.Event()

        def go_on_writing() -> None:
            while not done.wait(0.0005):
                for name in names:
                    with name.open("ab") as file:
                        file.write(bytes(1 << 14))

        writer = threading.Thread(target=go_on_writing)
        writer.start()
        try:
            for _ in range(5):
                assert len(client.logs("grows")) >= 1 << 22
                client.fetch("grows", tmp_path / "home")
        finally:
            done.set()
            writer.join()
        client.cancel("grows")


def test_files_that_go_while_they_are_listed_are_left_out(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = here.service.folder.job("vanishes")
    folder.path.mkdir()
    for name in ("measured.json", "staircase.json"):
        (folder.path / name).write_text("{}")
    state = Artifacts.state

    def gone_before(artifacts: Artifacts, path: Path) -> Any:
        (folder.path / "staircase.json").unlink(missing_ok=True)
        return state(artifacts, path)

    monkeypatch.setattr(Artifacts, "state", gone_before)
    assert [item.name for item in Artifacts().all_of(folder)] == ["measured.json"]


def test_an_upload_that_is_named_while_old_ones_go_stays(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = here.service.database
    uploads = Uploads(database, here.service.folder, 3600.0)
    digests = ("a" * 64, "b" * 64)
    for digest in digests:
        (tmp_path / "file").write_text("any")
        uploads.add(DATA, tmp_path / "file", digest, ".npz", "ulf")
    with database.writing() as connection:
        connection.execute("UPDATE uploads SET used_s = 0 WHERE kind = 'data'")
    rows = database.rows

    def named_meanwhile(statement: str, values: Any = ()) -> Any:
        found = rows(statement, values)
        if "used_s <" in statement:
            uploads.path(DATA, digests[0])
        return found

    monkeypatch.setattr(database, "rows", named_meanwhile)
    assert uploads.forget_old(()) == [digests[1]]
    assert uploads.path(DATA, digests[0]).is_file()


def test_the_sweep_goes_on_after_it_stumbled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "_SWEEP_S", 0.01)
    ending = threading.Event()

    class Stumbles:
        swept = 0

        def sweep(self) -> None:
            self.swept += 1
            raise OSError("no space left")

    stumbles = Stumbles()
    sweeper = threading.Thread(target=service_module._sweep, args=(stumbles, ending))
    sweeper.start()
    until = time.monotonic() + 30
    while stumbles.swept < 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    ending.set()
    sweeper.join()


def test_uploads_of_a_search_stay_while_something_works_on_it(here: Here, tmp_path: Path) -> None:
    """Nobody has named them for long, and the job that waits reads them."""
    digest = "c" * 64
    (tmp_path / "file").write_text("any")
    here.service.uploads.add(DATA, tmp_path / "file", digest, ".npz", "ulf")
    own = {"task": {"name": "own", "data": f"sha256:{digest}", "network": "digits-even"}}
    with here.client() as client:
        client.submit("search", {**FOR_A_BOARD, **own}, id="long-ago")
        job = here.service.jobs.get("long-ago")
        here.service.jobs.change(job, State.SUCCEEDED)
        client.submit("evaluate", of="long-ago", id="reads")
        with here.service.database.writing() as connection:
            connection.execute("UPDATE uploads SET used_s = 0")
        here.service.sweep()
        assert here.service.uploads.path(DATA, digest).is_file()
        client.cancel("reads")
        with here.service.database.writing() as connection:
            connection.execute("UPDATE uploads SET used_s = 0")
        here.service.sweep()
        assert not here.service.uploads.all_of(DATA)
