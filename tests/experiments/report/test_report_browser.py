"""The page in a real browser, as wide as a phone and as a desk."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from experiments.report.command import write_report
from tests.experiments.run_folders import make_run

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
    *("--virtual-time-budget=3000", "--allow-file-access-from-files", "--dump-dom"),
)
SCROLL_BAR = 20
# A frame is exactly as wide as asked for; a window of a headless browser need not be.
FRAME = """<!DOCTYPE html><body style="margin:0">
<iframe src="{page}" style="width:{width}px;height:900px;border:0"></iframe>
<p id="found">nothing</p>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const root = page.documentElement, wide = [];
  for (const item of page.querySelectorAll("section, .tile, figure, svg, .scroll")) {{
    if (item.getBoundingClientRect().right > root.clientWidth + 0.5) wide.push(item.outerHTML);
  }}
  const plots = [...page.querySelectorAll("svg")].map(item => item.getBoundingClientRect().width);
  document.getElementById("found").textContent = JSON.stringify(
    [root.clientWidth, root.scrollWidth, wide.length, Math.min(...plots)]);
}});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason=f"no browser on PATH; looked for {', '.join(NAMES)}")
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(tmp_path: Path, width: int) -> None:
    long = "stage3.block12.a_layer_with_a_name_that_does_not_end.conv_expand"
    page = write_report([make_run(tmp_path, layers=(long, "fc")).path])
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page=page.as_uri(), width=width))
    done = _open(frame, tmp_path / "profile")
    found = re.search(r'id="found">\[(.*?)\]<', html.unescape(done.stdout))
    assert found, f"the page did not load: {done.stdout[:500]} {done.stderr[-500:]}"
    shown, needed, wide, narrowest_plot = (float(text) for text in found[1].split(","))
    assert width - SCROLL_BAR <= shown <= width
    assert needed <= shown
    assert wide == 0
    assert narrowest_plot > 250
    assert "CONSOLE" not in done.stderr


@pytest.mark.skipif(BROWSER is None, reason=f"no browser on PATH; looked for {', '.join(NAMES)}")
def test_an_error_in_the_console_would_be_seen(tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<script>nothing.there()</script>")
    assert "CONSOLE" in _open(page, tmp_path / "profile").stderr


def _open(page: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    assert BROWSER is not None
    return subprocess.run(
        [BROWSER, *OPTIONS, f"--user-data-dir={profile}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
