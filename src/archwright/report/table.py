"""Prints tables: drawn on a terminal, plain aligned lines where the output is piped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from archwright.report.escape import for_terminal

if TYPE_CHECKING:
    from rich.console import Console

NUMBER = re.compile(r"[-+]?\d[\d,_]*(\.\d+)?([eE][-+]?\d+)?( ?[%a-zA-Z]{1,4})?")  # with a unit: 98.6 %, 4.6M, 12 s


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", console: Console | None = None
) -> None:
    """Print a table; columns that hold nothing but numbers are flush right. Cells are never read as markup or controls.

    On a terminal rich draws it (and honours NO_COLOR); elsewhere it is plain lines of any length, without colours.
    """
    from rich import box
    from rich.console import Console as Terminal
    from rich.table import Table
    from rich.text import Text

    console, title = console or Terminal(), for_terminal(title)
    rows = [[for_terminal(str(cell)) for cell in row] for row in rows]
    if not console.is_terminal:
        for line in ([title] if title else []) + plain_table(columns, rows):
            console.print(Text(line), soft_wrap=True)
        return
    table = Table(title=Text(title, style="bold") if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for column, right in zip(columns, _flush_right(columns, rows), strict=True):
        table.add_column(Text(column), justify="right" if right else "left")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Return the table as lines: a heading, then one line for each row, columns two spaces apart."""
    cells = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = [">" if right else "<" for right in _flush_right(columns, rows)]
    lines = (zip(row, sides, widths, strict=True) for row in cells)
    return ["  ".join(f"{cell:{side}{width}}" for cell, side, width in line).rstrip() for line in lines]


def _flush_right(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[bool]:
    texts = [[str(row[i]) for row in rows if str(row[i])] for i in range(len(columns))]
    return [bool(column) and all(NUMBER.fullmatch(text) for text in column) for column in texts]
