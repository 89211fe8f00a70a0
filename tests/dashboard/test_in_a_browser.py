"""Pages in a real browser: they paint, refresh, print, ask for nothing elsewhere, and run nobody's code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archwright.pages.report import write_comparison, write_report
from browser import MISSING, Browser, browser, found
from made_runs import HOSTILE, add_trials, failed, finished, under_way
from served import served

pytestmark = pytest.mark.skipif(found() is None, reason=MISSING)


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def test_a_report_is_complete_without_a_network(tab: Browser, tmp_path: Path) -> None:
    path = write_report(finished(tmp_path / "run"))
    tab.open(path.as_uri())
    assert tab.requests() == [path.as_uri()]
    assert tab.problems() == []
    assert tab.js("document.querySelectorAll('svg.drawing').length") == 1
    assert tab.js("document.querySelector('svg.drawing').getBoundingClientRect().width <= innerWidth")
    assert "2/left" in tab.js("[...document.querySelectorAll('svg.drawing title')].map(t => t.textContent).join('|')")
    place = "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]"
    x, y = tab.js(f"(e => {{ e.scrollIntoView(); {place} }})(document.getElementById('node-0-3'))")
    under = tab.js(f"document.elementFromPoint({x}, {y}).closest('g').querySelector('title').textContent")
    assert under.splitlines()[1] == "output 16x8x8, 32x4x4"
    assert tab.js("[...document.images].every(image => image.naturalWidth > 0)")
    assert tab.js("document.documentElement.scrollWidth <= innerWidth")
    assert tab.pdf().startswith(b"%PDF")


def test_hostile_names_run_nothing(tab: Browser, tmp_path: Path) -> None:
    folder = finished(tmp_path / HOSTILE.replace("/", "|"), classes=(HOSTILE, "dog", HOSTILE * 2), data=HOSTILE)
    for path in (
        write_report(folder, tmp_path / "one.html"),
        write_comparison([folder, failed(tmp_path / "f", HOSTILE)], tmp_path / "two.html"),
    ):
        tab.open(path.as_uri())
        assert tab.requests() == [path.as_uri()]
        assert "taken" not in tab.js("document.title").replace(HOSTILE.replace("/", "|"), "")
        assert tab.js("document.scripts.length") == 0
    with served(tmp_path) as port:
        tab.open(f"http://127.0.0.1:{port}/")
        tab.js("document.querySelector('a[href^=\"/run/\"]').click()")
        tab.until(lambda: tab.js("location.pathname") != "/" and tab.js("document.querySelector('h1') !== null"))
        assert tab.js("document.title") != "taken"
        assert {url.partition("/run/")[0] for url in tab.requests()} <= {
            *(f"http://127.0.0.1:{port}{path}" for path in ("", "/", "/refresh.js")),
        }


def test_a_live_page_follows_its_run(tab: Browser, tmp_path: Path) -> None:
    tab.open("about:blank")  # the page before goes on asking its server
    with under_way(tmp_path / "run") as store, served(tmp_path) as port:
        tab.open(f"http://127.0.0.1:{port}/run/run")
        assert "25 of 40" in tab.js("document.body.innerText")
        add_trials(store, 3, begin=60)
        tab.until(lambda: "28 of 40" in tab.js("document.body.innerText"))
        assert tab.problems() == []
    # The server has ended; the page stays.
    assert "28 of 40" in tab.js("document.body.innerText")
