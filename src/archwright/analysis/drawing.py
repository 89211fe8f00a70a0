"""Draws an architecture by the space that it names."""

from __future__ import annotations

from pathlib import Path

from archwright.errors import SpaceError
from archwright.report import drawing
from archwright.space import Architecture
from archwright.spaces import SPACES


def draw(architecture: Architecture, path: str | Path, *, title: str | None = None) -> Path:
    """Draw an architecture to a .png or .svg file and return its path.

    Raises SpaceError if its space is not in `SPACES` (draw what your own space's `graphs` returns with
    `archwright.report.drawing.draw`), ConfigError for another suffix or a path that cannot be written.
    """
    if architecture.space not in SPACES:
        raise SpaceError(
            f"the space {architecture.space!r} is not one of {', '.join(sorted(SPACES))}; "
            "draw the graphs that your own space makes of the architecture"
        )
    space = SPACES[architecture.space](**dict(architecture.fields))
    return drawing.draw(space.graphs(architecture), path, title=title)
