"""The API: jobs that wait, and what is said of them."""

import json
import threading
import time

import httpx
import pytest

from experiments.service.client.client import RefusalError
from experiments.service.store.tokens import Role
from tests.experiments.service.here import FOR_A_BOARD, Here


def _wait_until_waiting(here: Here, id: str) -> None:
    with here.client(here.operator) as client:
        until = time.monotonic() + 180
        while client.job(id)["state"] != "waiting_for_board":
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_job_for_a_board_that_is_not_there_waits_and_says_why(here: Here) -> None:
    with here.client() as client:
        job = client.submit("search", FOR_A_BOARD, id="waits")
        assert job["state"] == "queued"
        assert job["target"] == "pi"
        _wait_until_waiting(here, "waits")
        assert "does not answer" in client.job("waits")["reason"]
        board = next(board for board in client.boards() if board["key"] == "pi")
        assert board["queued"] == 1
        assert client.cancel("waits")["state"] == "cancelled"
        assert client.cancel("waits")["state"] == "cancelled"
        states = [event.document["state"] for event in client.events("waits")]
        assert states == ["queued", "waiting_for_board", "cancelled"]
        client.delete("waits")
        with pytest.raises(RefusalError, match="no job waits"):
            client.job("waits")


def test_the_same_request_with_the_same_id_is_one_job(here: Here) -> None:
    request = {"kind": "search", "id": "once", "settings": dict(FOR_A_BOARD)}
    first = here.ask("POST", "/v1/jobs", json=request)
    again = here.ask("POST", "/v1/jobs", json=dict(reversed(request.items())))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["number"] == again.json()["number"]
    assert first.headers["location"] == "/v1/jobs/once"
    other = here.ask("POST", "/v1/jobs", json={**request, "priority": 1})
    assert other.status_code == 409
    assert here.ask("POST", "/v1/jobs", here.operator, json=request).status_code == 409
    here.ask("POST", "/v1/jobs/once/cancel")


def test_two_requests_at_once_make_one_job(here: Here) -> None:
    request = {"kind": "search", "id": "twins", "settings": dict(FOR_A_BOARD)}
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(here.ask("POST", "/v1/jobs", json=request).status_code)
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 5 + [201]
    here.ask("POST", "/v1/jobs/twins/cancel")


def test_a_list_has_pages_and_states(here: Here) -> None:
    for number in range(3):
        request = {"kind": "search", "id": f"page-{number}", "settings": dict(FOR_A_BOARD)}
        assert here.ask("POST", "/v1/jobs", json=request).status_code == 201
    for number in range(3):
        here.ask("POST", f"/v1/jobs/page-{number}/cancel")
    found, after = [], 0
    while after is not None:
        page = here.ask("GET", f"/v1/jobs?state=cancelled&limit=2&after={after}").json()
        assert len(page["jobs"]) <= 2
        found += [job["id"] for job in page["jobs"]]
        after = page["next"]
    assert [id for id in found if id.startswith("page-")] == ["page-0", "page-1", "page-2"]
    assert here.ask("GET", "/v1/jobs?state=running").json() == {"jobs": [], "next": None}


def test_a_stream_goes_on_after_the_last_event_that_was_seen(here: Here) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="streamed")
        _wait_until_waiting(here, "streamed")
        seen: list[str] = []
        ready = threading.Event()

        def follow() -> None:
            headers = {
                "Authorization": f"Bearer {here.user}",
                "Accept": "text/event-stream",
                "Last-Event-ID": "1",
            }
            url = f"{here.url}/v1/jobs/streamed/events"
            with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                for line in answer.iter_lines():
                    seen.append(line)
                    ready.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert ready.wait(30)
        client.cancel("streamed")
        thread.join(30)
        assert not thread.is_alive(), "the stream did not end with the job"
    assert [line for line in seen if line.startswith("id: ")] == ["id: 2", "id: 3"]
    assert "event: end" in seen
    datas = [json.loads(line.removeprefix("data: ")) for line in seen if "waiting" in line]
    assert datas[0]["state"] == "waiting_for_board"


def test_streams_are_bounded(here: Here) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="crowded")
    headers = {"Authorization": f"Bearer {here.user}", "Accept": "text/event-stream"}
    url = f"{here.url}/v1/jobs/crowded/events"
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(headers=headers, timeout=30, limits=limits) as http:
        opened = [http.send(http.build_request("GET", url), stream=True) for _ in range(30)]
        codes = [answer.status_code for answer in opened]
        for answer in opened:
            answer.close()
    assert codes == [200] * 20 + [503] * 10
    here.ask("POST", "/v1/jobs/crowded/cancel")


def test_a_user_sees_only_their_own(here: Here) -> None:
    other = here.service.tokens.create("vera", Role.USER)
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="mine")
    for path in ("", "/events", "/logs", "/artifacts", "/artifacts/config.yaml"):
        assert here.ask("GET", f"/v1/jobs/mine{path}", other).status_code == 404
    assert here.ask("POST", "/v1/jobs/mine/cancel", other).status_code == 404
    assert here.ask("DELETE", "/v1/jobs/mine", other).status_code == 404
    assert here.ask("GET", "/v1/jobs", other).json()["jobs"] == []
    export = {"kind": "export", "of": "mine"}
    assert here.ask("POST", "/v1/jobs", other, json=export).status_code == 404
    assert here.ask("GET", "/v1/jobs/mine", here.operator).status_code == 200
    assert here.ask("DELETE", "/v1/jobs/mine").status_code == 409
    here.ask("POST", "/v1/jobs/mine/cancel")


def test_quotas_hold_for_users_and_not_for_operators(here: Here) -> None:
    token = here.service.tokens.create("quota", Role.USER)
    names = [f"quota-{number}" for number in range(6)]
    codes = [
        here.ask(
            "POST",
            "/v1/jobs",
            token,
            json={"kind": "search", "id": name, "settings": dict(FOR_A_BOARD)},
        ).status_code
        for name in names
    ]
    assert codes == [201] * 5 + [429]
    for name in names[:5]:
        here.ask("POST", f"/v1/jobs/{name}/cancel", token)
    many = {"kind": "search", "settings": {**FOR_A_BOARD, "evaluations": 960}}
    refused = here.ask("POST", "/v1/jobs", token, json=many)
    assert refused.status_code == 429
    assert "found 50 and 960 more" in refused.json()["detail"]
    accepted = here.ask("POST", "/v1/jobs", here.operator, json={**many, "id": "op"})
    assert accepted.status_code == 201
    here.ask("POST", "/v1/jobs/op/cancel", here.operator)


def test_a_refusal_is_a_problem_with_one_sentence_and_a_hint(here: Here) -> None:
    request = {"kind": "search", "settings": {"evaluatoins": 3}}
    refused = here.ask("POST", "/v1/jobs", json=request)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    said = refused.json()
    assert said.pop("title").startswith("Unprocessable")
    assert said == {
        "type": "about:blank",
        "status": 422,
        "detail": "unknown key evaluatoins, in the job's settings",
        "hint": "did you mean evaluations?",
        "fault": "user",
    }
    assert here.ask("GET", "/nowhere").headers["content-type"] == "application/problem+json"
    wrong = here.ask("POST", "/v1/jobs", json={"kind": "surch"}).json()
    assert "kind" in wrong["detail"]


def test_every_change_has_a_line_of_who_made_it(here: Here) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="noted")
        client.cancel("noted")
        client.delete("noted")
    rows = here.service.database.rows("SELECT who, action FROM audit WHERE what = 'noted'")
    assert [tuple(row) for row in rows] == [
        ("ulf", "job handed in"),
        ("ulf", "job cancelled"),
        ("ulf", "job deleted"),
    ]


def test_what_an_operator_watches(here: Here) -> None:
    assert here.ask("GET", "/healthz", "").json() == {"ready": True, "reasons": []}
    ready = here.ask("GET", "/readyz")
    assert ready.status_code == 503
    assert "does not answer" in ready.json()["reasons"][0]
    text = here.ask("GET", "/metrics").text
    assert 'bitalloc_http_seconds_bucket{le="0.02",method="GET",route="/healthz"' in text
    assert "bitalloc_queue_length" in text
    assert here.ask("GET", "/v1/version").json()["api"] == "v1"


def test_a_boards_temperature_is_that_of_its_newest_timing(here: Here) -> None:
    settings = {"target": {"board": "rpi4", "key": "hot"}, "evaluations": 10}
    with here.client() as client:
        client.submit("search", settings, id="heats")
        for heat in (40.0, 61.5):
            job = here.service.jobs.get("heats")
            here.service.jobs.change(job, events=[("evaluation", {"hottest_c": heat})])
        client.cancel("heats")
        client.submit("search", settings, id="heats-next")
        board = next(board for board in client.boards() if board["key"] == "hot")
        assert board["hottest_c"] == 61.5
        assert client.boards()[0]["hottest_c"] is None
        client.cancel("heats-next")


def test_a_deleted_jobs_files_are_nobodys(here: Here) -> None:
    """Another job of the same id must not go on with them."""
    for _ in range(2):
        with here.client() as client:
            client.submit("search", FOR_A_BOARD, id="again")
            folder = here.service.folder.job("again")
            assert not folder.path.exists()
            client.cancel("again")
            folder.path.joinpath("runs").mkdir(parents=True)
            client.delete("again")
    assert not [place for place in folder.path.parent.iterdir() if place.name.startswith(".")]


def test_what_is_kept_no_longer_goes_and_what_is_needed_stays(here: Here) -> None:
    jobs = here.service.folder.path / "jobs"
    (jobs / "nobodys").mkdir()
    (jobs / ".gone-1").mkdir()
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="stays")
        (jobs / "stays").mkdir()
        here.service.sweep()
        assert [place.name for place in jobs.iterdir() if place.name != "kept-in"] == ["stays"]
        client.cancel("stays")
