"""Text from outside means itself: on a terminal, in a heading, in a table."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image
from torch import nn

from archwright.cli.commands import dispatch
from archwright.cli.display import Display
from archwright.data.images import Preprocessing
from archwright.data.units import Units
from archwright.graph import Edge, Graph, Node
from archwright.loop import Proposal, Result, Trial
from archwright.modalities.images.modality import Images
from archwright.modalities.images.model import TrainedModel
from archwright.modalities.text.model import TrainedLanguageModel
from archwright.report.escape import for_markdown, for_terminal
from archwright.report.table import show_table
from archwright.runs.events import Message
from archwright.runs.folder import runs_below
from archwright.runs.outcome import _report
from archwright.space import sample
from archwright.store import RunStore
from archwright.testing.small_spaces import Chain
from small_images import noise_data

EVIL = "\x1b[2Jred\x9b31m\r\n|<script>alert(1)</script>`*_[x](y)"
SHOWN = r"\x1b[2Jred\x9b31m\r\n|<script>alert(1)</script>`*_[x](y)"
texts = st.text() | st.text("\\`*_[]()<>&#|!~-+=.1 \n\t\x1b", min_size=1)


@given(texts | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp", "Cf"])))
def test_a_terminal_is_given_one_line_without_controls(text: str) -> None:
    shown = for_terminal(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set("\u202e\u2066\u200f") & set(shown)
    assert len([shown]) == len(shown.splitlines() or [shown])
    assert for_terminal(shown) == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize("name", ["zwölf 十二", "two words", "\N{FAMILY}\u200d", "a|b", r"back\slash"])
def test_names_of_any_script_are_shown_as_they_are(name: str) -> None:
    assert for_terminal(name) == name


@given(texts)
@example("a | b")
@example("# ")
@example("x #")
@example("&lt;")
@example("![x](http://y)")
@example("<http://y>")
def test_markdown_shows_the_text_itself(text: str) -> None:
    page = f"# a {for_markdown(text)}\n\n| class | accuracy |\n|---|---|\n| {for_markdown(text)} | 1 |\n\nend\n"
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page)
    expected = for_terminal(text)
    inline = [token for token in tokens if token.type == "inline"]
    assert [child.type for token in inline for child in token.children or []] == ["text"] * sum(
        len(token.children or []) for token in inline
    )
    shown = ["".join(child.content for child in token.children or []) for token in inline]
    assert shown == [f"a {expected}".strip(), "class", "accuracy", expected.strip(), "1", "end"]


def test_the_report_is_not_changed_by_names_in_it() -> None:
    odd = "|<b>`*_[x](y)"  # a graph has no text that cannot be printed
    graph = Graph(odd, (Node("in", "in"), Node("out", odd)), (Edge("in", "out"),))
    result: dict[str, Any] = {
        **{"space": EVIL, "architecture": "0", "data": f"{EVIL}/data", "summary": [f"verdict {EVIL}\n```\n# more"]},
        **{"seconds": {EVIL: 1.0}, "trials": 0, "random_search": {}},
        **{"per_class": {EVIL: {"accuracy": 0.5, "images": 3}}},
    }
    data = replace(noise_data(), split=EVIL, notes=(EVIL,), reader_warnings=(EVIL,))
    report = "\n".join(_report(result, [graph], Images(data)))
    assert "\x1b" not in report
    tokens = MarkdownIt("commonmark").enable(["table"]).parse(report)
    kinds = [token.type for token in tokens] + [c.type for token in tokens for c in token.children or []]
    assert not {"html_block", "html_inline", "link_open", "em_open", "code_inline"} & set(kinds)
    assert (kinds.count("heading_open"), kinds.count("fence"), kinds.count("table_open")) == (5, 2, 2)
    assert kinds.count("td_open") == 3 + 2
    headings = [one.content for token, one in pairwise(tokens) if token.type == "heading_open"]
    assert headings[2:] == ["Accuracy by class", "Data", "Seconds"]


def test_predictions_are_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\nb.png"
    Image.new("L", (6, 6)).save(path)
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 1))
    model = TrainedModel(
        network, sample(Chain(), 0), Chain(), (EVIL,), Preprocessing((0.0,), (1.0,), 1, 6, 6, units=Units(0, 255))
    )
    ((figures, line),) = model.answers([path], tokens=1, seed=0)
    assert figures["class"] == EVIL
    assert line == rf"{tmp_path}/a\x1b[2J\nb.png  {SHOWN}  100.0%"


def test_written_text_keeps_its_lines_and_loses_its_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainedLanguageModel, "write", lambda *_, **__: f"one\n{EVIL}")
    model = TrainedLanguageModel(None, sample(Chain(), 0), Chain(), ("one",), "words")
    ((figures, line),) = model.answers([Path("no file")], tokens=1, seed=0)
    assert figures["written"] == f"one\n{EVIL}"
    assert line == "one\n" + SHOWN.replace(r"\n", "\n")


def test_what_is_said_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(json_output=False) as display:
        display(Message(EVIL))
        display(Trial(0, Proposal(0, sample(Chain(), 0)), Result(0.0, {}, EVIL), 0.1))
    assert capsys.readouterr().out == f"{SHOWN}\ntrial 0 failed: {SHOWN}\n"


def test_a_table_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["name"], [[EVIL]], title=EVIL)
    assert capsys.readouterr().out.splitlines() == [SHOWN, "name", SHOWN]


def test_an_error_is_one_line_without_controls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "\x1b[2J\nno")
    for words in (["show", path], ["check", path], ["list", "--no\x1b[2J"]):
        assert dispatch(words[0], words[1:]) == 2
        error = capsys.readouterr().err
        assert "\x1b" not in error
        assert error.count("\n") == 1


def test_check_and_list_show_names_of_classes_and_runs_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("\x1b[2Jcat\ndog", "bird"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("L", (4, 4), number).save(tmp_path / "data" / name / f"{number}.png")
    assert dispatch("check", [str(tmp_path / "data")]) == 0
    out = capsys.readouterr().out
    assert r"\x1b[2Jcat\ndog" in out
    assert "\x1b" not in out
    with RunStore(tmp_path / "runs" / "a\x1b[2J\nb", create=True) as store:
        store.put("begun", EVIL)
    assert len(list(runs_below(tmp_path / "runs"))) == 1
    assert dispatch("list", [str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"a\x1b[2J\nb" in out
    assert len(out.splitlines()) == 2


def test_compare_shows_what_a_stranger_wrote_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = {"test_accuracy": 0.5, "test_interval": [0.4, 0.6], "parameters": 5, "multiply_adds": 7, "data": EVIL}
    result |= {"per_class": {EVIL: {}}, "test_images": 9}
    folder = tmp_path / "a\x1b[2J\nb"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps({**result, "architecture": EVIL, "space": EVIL}))
    assert dispatch("compare", [str(folder), "--no-pictures"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert r"\x1b[2J" in out
