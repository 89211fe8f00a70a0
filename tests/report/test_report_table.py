from __future__ import annotations

import io

import pytest
from rich.console import Console

from archwright.report.table import plain_table, show_table

COLUMNS = ("model", "accuracy", "parameters")
ROWS = [("found [bold]", "98.9 %", 12345), ("random", "100.0 %", 987)]


def test_a_plain_table_is_aligned_with_numbers_flush_right() -> None:
    assert plain_table(COLUMNS, ROWS) == [
        "model         accuracy  parameters",
        "found [bold]    98.9 %       12345",
        "random         100.0 %         987",
    ]
    assert plain_table(("a", "b"), []) == ["a  b"]


def test_piped_output_has_no_colours_no_frames_and_no_line_breaks() -> None:
    out = io.StringIO()
    show_table(COLUMNS, [*ROWS, ("x" * 200, "1 %", 1)], title="Result", console=Console(file=out, width=40))
    lines = out.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0] == "Result"
    assert "x" * 200 in lines[-1]
    assert out.getvalue().isascii()


def test_a_terminal_gets_a_table_and_cells_are_no_markup() -> None:
    out = io.StringIO()
    show_table(
        COLUMNS, ROWS, title="Result", console=Console(file=out, force_terminal=True, width=80, color_system="standard")
    )
    assert "\x1b[" in out.getvalue()
    assert "found [bold]" in out.getvalue()


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    show_table(COLUMNS, ROWS, console=Console(file=out, force_terminal=True, width=80, color_system="standard"))
    assert not any(f"\x1b[{code}m" in out.getvalue() for code in range(30, 38))
    assert "found [bold]" in out.getvalue()
