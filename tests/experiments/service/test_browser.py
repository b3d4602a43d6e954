"""A person at the pages, in headless Chromium: submits, watches the curves move, takes it home."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from experiments.service.folder import ServiceFolder
from experiments.service.store.database import Database
from experiments.service.store.tokens import Tokens
from tests.experiments.service.served import SMALL, Served, served

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(1800)]

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_LONG_MS = 600_000
_LOOKS: list[tuple[Literal["light", "dark"], int]] = [
    *(("light", 1280), ("dark", 1280), ("light", 320), ("dark", 360), ("light", 390)),
    *(("dark", 390), ("light", 430), ("light", 768)),
]
"""Desks, and phones from the narrowest on."""
PICTURES = os.environ.get("BITALLOC_PICTURES", "")
"""Folder for the pictures of docs/service.md; empty for none."""
_PICTURED = {
    ("job", "light", 1280): "service-job.png",
    ("jobs", "light", 1280): "service-jobs.png",
    ("jobs", "dark", 1280): "service-jobs-dark.png",
    ("jobs", "light", 390): "service-phone.png",
    ("job", "dark", 390): "service-phone-dark.png",
}
expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("browsed") / "service") as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def _check(page: Page) -> None:
    """Expect nothing that axe calls serious, and nothing wider than the page."""
    found = Axe().run(page).response["violations"]
    serious = [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] != "minor"]
    assert not serious
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide


def test_from_the_form_to_the_files(server: Served, chromium: Browser, tmp_path: Path) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    errors: list[Any] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(error))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(server.url)
    expect(page).to_have_url(f"{server.url}/signin")
    _check(page)
    page.get_by_label("Token").fill(server.token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("seen")
    page.get_by_label("Where", exact=True).select_option("simulated")
    page.get_by_label("Method", exact=True).select_option("random")
    page.get_by_label("Evaluations", exact=True).fill("8")
    _check(page)
    page.get_by_role("button", name="Hand it in").click()
    expect(page).to_have_url(f"{server.url}/jobs/seen")
    # The page renews itself: the numbers of finished evaluations rise while it is looked at.
    for done in ("1 of 8", "2 of 8"):
        page.wait_for_function(
            "least => parseInt([...document.querySelectorAll('.chip')].map(c => c.textContent)"
            ".find(t => t.includes(' of 8 ')) || '0') >= parseInt(least)",
            arg=done,
            timeout=_LONG_MS,
        )
    expect(page.locator("#live svg").first).to_be_visible(timeout=_LONG_MS)
    expect(page.locator(".chip", has_text="succeeded")).to_be_visible(timeout=_LONG_MS)
    expect(page.get_by_text("All of them, as one file")).to_be_visible(timeout=_LONG_MS)
    _check(page)
    with page.expect_download() as download:
        page.get_by_text("All of them, as one file").click()
    download.value.save_as(tmp_path / "seen.zip")
    with zipfile.ZipFile(tmp_path / "seen.zip") as archive:
        assert "seen/report.html" in archive.namelist()
    assert not errors
    assert all(url.startswith(server.url) or url.startswith(("data:", "blob:")) for url in asked)
    _look_in_every_size(server, page)


def test_who_is_signed_out_elsewhere_is_led_to_the_way_in(
    server: Served, chromium: Browser
) -> None:
    token = server.new_token("leaver")
    with server.client() as client, server.client(token) as own:
        # Behind it the next one waits, whose page follows events.
        client.submit("search", {**SMALL, "evaluations": 200}, id="first")
        own.submit("search", SMALL, id="waits")
        visitor = chromium.new_context()
        page = visitor.new_page()
        page.goto(server.url)
        page.get_by_label("Token").fill(token)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
        follows = visitor.new_page()
        follows.goto(f"{server.url}/jobs/waits")
        with Database(ServiceFolder(server.folder).database) as database:
            Tokens(database).revoke("leaver")
        for one in (page, follows):
            expect(one).to_have_url(f"{server.url}/signin", timeout=60_000)
        visitor.close()
        for name in ("waits", "first"):
            client.cancel(name)


def _look_in_every_size(server: Served, signed_in: Page) -> None:
    browser = signed_in.context.browser
    assert browser is not None
    for scheme, width in _LOOKS:
        other = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": 850},
            storage_state=signed_in.context.storage_state(),
        )
        for name, path in (("jobs", "/"), ("job", "/jobs/seen")):
            page = other.new_page()
            page.goto(server.url + path)
            _check(page)
            if PICTURES and (name, scheme, width) in _PICTURED:
                page.screenshot(path=Path(PICTURES, _PICTURED[name, scheme, width]))
            page.close()
        other.close()
