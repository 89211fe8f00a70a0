"""Shared by all pictures: the style, the figure of a plot, the file it is written to, and the width of text."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from archwright.errors import ConfigError
from archwright.files import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = ["DejaVu Sans", "sans-serif"]  # the first comes with matplotlib, the second is for viewers of SVG
INK, FAINT = "#1a1a1a", "#4f4f4f"
DPI, MOST_PIXELS = 200, 12_000
STYLE = {
    "font.family": FONT,
    "font.sans-serif": [FONT[0], "Verdana", "Arial"],
    "text.parse_math": False,  # names are never mathematics, however many dollar signs they have
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "archwright",  # equal figures give equal files
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "figure.constrained_layout.w_pad": 0.12,
    "figure.constrained_layout.h_pad": 0.1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9a9a9a",
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    **{f"{axis}tick.color": "#9a9a9a" for axis in "xy"},
    **{f"{axis}tick.labelcolor": "black" for axis in "xy"},
    **{f"{axis}tick.labelsize": 9 for axis in "xy"},
}
_settings_are_taken = threading.RLock()


def checked_path(path: str | Path) -> Path:
    """Return the path; raise ConfigError if its suffix is not .png or .svg."""
    path = Path(path)
    if path.suffix.lower() not in (".png", ".svg"):
        kind = path.suffix or "a file without suffix"
        raise ConfigError(f"{path}: pictures are drawn as .png or .svg, not as {kind}")
    return path


@contextmanager
def settings() -> Iterator[None]:
    """Set matplotlib's own defaults and `STYLE`, whatever the user's style is; the user's come back at the end.

    matplotlib reads settings from one global place while it makes and saves a figure, so one thread has them at a time.
    """
    from matplotlib import style

    with _settings_are_taken, style.context(["default", STYLE]):
        yield


@contextmanager
def plot(path: str | Path, title: str, height: float, *, width: float = 7.2, notes: str = "") -> Iterator[Figure]:
    """Yield a figure of so many inches, with the notes below it and the title above; save it at the end."""
    from matplotlib.figure import Figure

    path = checked_path(path)
    with settings():
        figure = Figure(figsize=(width, height), layout="constrained")
        if notes:
            figure.supxlabel(notes, x=0.02, ha="left", fontsize=8.5, color=FAINT, linespacing=1.4)
        figure.suptitle(title)
        yield figure
        save(figure, path, title=title)


def save(figure: Figure, path: Path, *, title: str) -> Path:
    """Write a figure, with its folder if that is missing; raise ConfigError if the file cannot be written."""
    unset = ("Date", "Creator") if path.suffix.lower() == ".svg" else ("Software",)
    metadata = {"Title": title, **dict.fromkeys(unset)}
    drawn, dpi = io.BytesIO(), min(DPI, MOST_PIXELS / max(figure.get_size_inches()))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=dpi, metadata=metadata)
        write(path, drawn.getvalue())
    except OSError as error:
        raise ConfigError(f"{path}: the picture cannot be written ({error.strerror or error})") from None
    return path


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a line of text in inches; `size` in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72
