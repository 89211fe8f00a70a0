"""Graphs on the command line: drawn into files, printed as text, or in one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from archwright.cli.commands import print_json, print_line
from archwright.graph import Graph


def show_graphs(
    given: Any, graphs: Sequence[Graph], name: str, *, facts: Mapping[str, Any], title: str, lines: Sequence[str]
) -> int:
    """Draw graphs to files called `name`, and print them between title and lines, or the facts, as the flags ask."""
    from archwright.report.drawing import draw
    from archwright.report.text import as_text

    pictures = []
    if not given.no_pictures:
        pictures = [str(draw(graphs, given.to / f"{name}.{kind}")) for kind in ("png", "svg")]
    if given.json:
        print_json({**facts, "pictures": pictures, "graphs": [as_text(graph) for graph in graphs]})
        return 0
    print_line(title)
    for graph in graphs:
        print()
        print_line(graph.title)
        for line in as_text(graph):
            print_line(f"  {line}")
    print()
    for line in (*lines, *(f"drawn to {path}" for path in pictures)):
        print_line(line)
    return 0
