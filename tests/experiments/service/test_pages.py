"""The pages, as a browser without scripts has them."""

import io
import zipfile
from collections.abc import Iterator

import httpx
import pytest

from experiments.service.folder import JobFolder
from experiments.service.store.tokens import Role
from tests.experiments.run_folders import make_run
from tests.experiments.service.here import FOR_A_BOARD, Here

OURS = {"Sec-Fetch-Site": "same-origin"}
FORM = {"task": "digits", "method": "random", "evaluations": "7", "target": "pi", "board": "rpi4"}


@pytest.fixture
def browser(here: Here) -> Iterator[httpx.Client]:
    """Somebody who has signed in as the user."""
    with httpx.Client(base_url=here.url, headers=OURS, timeout=30) as browser:
        answer = browser.post("/signin", data={"token": here.user})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        yield browser


def test_nobody_sees_more_than_the_way_in(here: Here) -> None:
    for path in ("/", "/page.js", "/jobs/any", "/jobs/any/files.zip"):
        for cookies in ({}, {"bitalloc-token": "guess"}):
            answer = httpx.get(here.url + path, cookies=cookies)
            assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
    answer = httpx.post(f"{here.url}/signin", data={"token": "<b>guess</b>"}, headers=OURS)
    assert answer.status_code in (401, 422)
    assert "<b>" not in answer.text
    assert "set-cookie" not in answer.headers


def test_a_page_loads_nothing_from_elsewhere(browser: httpx.Client) -> None:
    page = browser.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "EventSource" in browser.get("/page.js").text


def test_a_form_hands_a_job_in_and_a_button_ends_it(browser: httpx.Client, here: Here) -> None:
    answer = browser.post("/submit", data={**FORM, "id": "by-form"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/by-form")
    page = browser.get("/jobs/by-form").text
    assert 'data-events="/v1/jobs/by-form/events"' in page
    assert "by-form-bundle" in page
    with here.client() as client:
        assert client.job("by-form")["request"]["settings"]["target.key"] == "pi"
    assert browser.post("/jobs/by-form/delete").status_code == 422
    assert browser.post("/jobs/by-form/cancel").status_code == 303
    assert "cancelled by ulf" in browser.get("/jobs/by-form").text
    browser.post("/jobs/by-form-bundle/cancel")
    browser.post("/jobs/by-form-bundle/delete")
    assert browser.post("/jobs/by-form/delete").headers["location"] == "/"
    missing = browser.get("/jobs/by-form")
    assert missing.status_code == 404
    assert "there is no job by-form" in missing.text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"evaluations": "many"}, "evaluations: expected a valid integer"),
        ({"id": "../x"}, "id:"),
        ({"method": "<script>"}, "expected one of"),
        ({"board": ""}, "target.board"),
        ({"ratio": "-1"}, "latency_ratio"),
    ],
)
def test_a_mistake_comes_back_with_what_was_typed(
    browser: httpx.Client, more: dict[str, str], said: str
) -> None:
    answer = browser.post("/submit", data={**FORM, **more})
    assert answer.status_code == 422
    assert said in answer.text
    assert "<script>" not in answer.text.replace('<script src="/page.js" defer></script>', "")
    assert "<option selected>pi</option>" in answer.text


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil"}])
def test_another_sites_page_changes_nothing(here: Here, headers: dict[str, str]) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="target-of-evil")
    cookies = {"bitalloc-token": here.user}
    with httpx.Client(base_url=here.url, headers=headers, cookies=cookies) as evil:
        assert evil.post("/jobs/target-of-evil/cancel").status_code == 403
        assert evil.post("/v1/jobs/target-of-evil/cancel").status_code == 403
        assert evil.post("/submit", data=FORM).status_code == 403
        assert evil.get("/v1/jobs/target-of-evil").status_code == 200
    with here.client() as client:
        client.cancel("target-of-evil")


def test_a_run_is_shown_as_its_report_has_it(browser: httpx.Client, here: Here) -> None:
    with here.client() as client:
        client.submit("search", FOR_A_BOARD, id="shown")
        client.cancel("shown")
    folder: JobFolder = here.service.folder.job("shown")
    make_run(folder.path / JobFolder.RUNS)
    page = browser.get("/jobs/shown").text
    for part in ("Accuracy against latency", "Bits of each layer", "Learning curves", "<svg"):
        assert part in page
    whole = browser.get("/jobs/shown/files.zip")
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert "shown/results.json" in archive.namelist()
    other = here.service.tokens.create("wanda", Role.USER)
    cookies = {"bitalloc-token": other}
    assert httpx.get(f"{here.url}/jobs/shown", cookies=cookies).status_code == 404
    with here.client() as client:
        client.delete("shown")
