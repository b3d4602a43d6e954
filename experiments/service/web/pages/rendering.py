"""Rendering: the pages' templates, and a run as its own report shows it."""

import threading
from collections import OrderedDict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from experiments.record import files
from experiments.record.run_record import RunRecord
from experiments.report.page import page_style, page_templates, render_article
from quant.errors import BitAllocError

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_WORDS = {"waiting_for_board": "waiting for a board"}
_KEPT = 16
"""Runs whose charts are kept for the next who looks."""
_HERE = Path(__file__).parent


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page, in which every text is escaped."""
    text = _templates().get_template(template).render({"error": "", **values})
    return HTMLResponse(text, status, _HEADERS)


def script() -> str:
    """Return the pages' one script."""
    return (_HERE / "page.js").read_text(encoding="utf-8")


class Runs:
    """Runs as their report shows them; drawn once for each state, whoever looks."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._drawn: OrderedDict[tuple[str, int, int], Markup] = OrderedDict()
        self._drawing = threading.Lock()  # matplotlib's styles are everybody's

    def draw(self, run: Path) -> Markup:
        """Return a run's charts and tables; empty where there is nothing to show."""
        try:
            key = (str(run.resolve()), _size(run / files.EVALUATIONS), _size(run / files.RESULTS))
            with self._drawing:
                if key not in self._drawn:
                    self._drawn[key] = render_article(RunRecord.open(run))
                self._drawn.move_to_end(key)
                if len(self._drawn) > _KEPT:
                    self._drawn.popitem(last=False)
                return self._drawn[key]
        except BitAllocError:
            return Markup()


@cache
def _templates() -> Environment:
    templates = page_templates("experiments.service.web.pages")
    own = (_HERE / "page.css").read_text(encoding="utf-8")
    templates.globals |= {
        "css": Markup(page_style() + own),
        "options": _options,
        "state": lambda job: _WORDS.get(job.state, str(job.state)),
        "who": None,
    }
    return templates


def _options(names: list[str], chosen: str | None) -> Markup:
    """Return the options of a select."""
    return Markup("\n").join(
        Markup("<option{}>{}</option>").format(
            Markup(" selected") if name == chosen else "", escape(name)
        )
        for name in names
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1
