"""The page of a run: what it says of runs in any state, and what hostile text can do in it."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from archwright.__main__ import main
from archwright.pages.charts import training_charts
from archwright.pages.record import read
from archwright.pages.report import page, view
from archwright.store import RunStore
from made_runs import HOSTILE, failed, finished, under_way

ALLOWED = {"src": ("data:image/png;base64,",)}


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def of(folder: Path) -> str:
    return page("run.html", **view(read(folder)))


def test_the_page_of_a_finished_run_has_it_all(tmp_path: Path) -> None:
    text = of(finished(tmp_path / "run"))
    for words in (
        *("What was found", "What was gained", "Rewards over trials", "Entropy over trials", "Learning curves: loss"),
        *(
            "Learning curves: validation accuracy",
            "What is confused with what",
            "What it is most sure of and wrong about",
        ),
        *("Time by phase", "Plan", "seed 0", "torch 2.13.0", "archwright search --data photos --minutes 2"),
        *("--config", "the controller has settled", "two classes share images", "91.25%", "Diverged: nan"),
        *("16x8x8, 32x4x4", "random, as many trained", "[84.00, 91.00]"),
    ):
        assert words in html.unescape(text), words
    assert re.search(r"<title>2/left: [^<]*\noutput 16x8x8, 32x4x4\n1,234 parameters, 56,789 multiply-adds", text)


@pytest.mark.parametrize("share", ["0.1", "1"])
def test_the_curve_of_a_known_network_is_called_so_whatever_its_share_of_the_time(tmp_path: Path, share: str) -> None:
    folder = finished(tmp_path / "run")
    with RunStore(folder) as store:
        store.put(f"candidate/known-{share}", store.get("candidate/random-0"))
    labels = {drawn.label for _, chart in training_charts(read(folder)) if chart for drawn in chart.series}
    assert "known network" in labels
    assert not any(label.startswith("known network ") for label in labels)


def test_a_run_under_way_shows_what_is_running(tmp_path: Path) -> None:
    with under_way(tmp_path / "run"):
        text = of(tmp_path / "run")
    for words in (
        "running",
        "in search",
        "Trials under way",
        "The best architecture so far",
        "step 25 of 40",
        "25 of 40",
    ):
        assert words in text, words
    assert "What was gained" not in text
    assert "resume" not in text


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    text = of(failed(tmp_path / "run"))
    assert "every trial of the search failed" in text
    assert "Trials that failed" in text
    assert "archwright resume" in text


def test_a_run_that_was_stopped_before_it_began_has_a_page(tmp_path: Path) -> None:
    RunStore(tmp_path / "run", create=True).close()
    assert "stopped before it began" in of(tmp_path / "run")


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    folder = finished(tmp_path / HOSTILE.replace("/", "|"), classes=(HOSTILE, "dog", f"owl{HOSTILE}"), data=HOSTILE)
    with RunStore(folder) as store:
        store.put_all({"warnings": [HOSTILE], "versions": {HOSTILE: HOSTILE}, "typed": HOSTILE, "begun": HOSTILE})
        shown = store.get("shown")
        shown["graphs"][0]["nodes"][2]["label"] = HOSTILE
        shown["graphs"][0]["title"] = f"normal {HOSTILE}"
        shown["mistakes"]["worst"][1]["picture"] = "http://example.com/seen.png"
        shown["estimates"][0]["label"] = HOSTILE
        store.put("shown", shown)
    text = of(folder)
    assert "http://example.com" not in text
    for tag, attributes in Elements(text).found:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form", "link")
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, attributes)
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/png;base64,", "#")), (tag, value)
    assert "{{7*7}}" in html.unescape(text)


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = of(finished(tmp_path / "run"))
    assert "default-src 'none'" in html.unescape(text)
    assert re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", text) == []
    assert "@import" not in text
    assert "url(" not in text


def test_the_command_writes_the_page_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = finished(tmp_path / "one"), failed(tmp_path / "other")
    assert main(["report", str(one), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(one / "report.html")}
    assert "What was found" in (one / "report.html").read_text()
    assert main(["report", str(one), str(other), "--to", str(tmp_path / "both.html")]) == 0
    both = (tmp_path / "both.html").read_text()
    assert "2 runs compared" in both
    assert "Best reward so far" in both


@pytest.mark.parametrize("fact", ["shown", "result", "plan", "candidate/found-0", "progress", "seconds", "warnings"])
@pytest.mark.parametrize("value", [3, [3], {"x": None}, "text"])
def test_what_is_damaged_is_one_line_or_a_page(
    fact: str, value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished(tmp_path / "run", trials=3)
    with RunStore(folder) as store:
        store.put(fact, value)
    code = main(["report", str(folder)])
    out, err = capsys.readouterr()
    assert (code, len(out.splitlines()), len(err.splitlines())) in ((0, 1, 0), (2, 0, 1)), err


def test_what_is_no_run_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    run = finished(tmp_path / "run", trials=3)
    assert main(["report", str(run), "--to", str(tmp_path / "file" / "x.html")]) == 2
    assert "not a folder" in capsys.readouterr().err
