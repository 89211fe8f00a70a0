"""What all pictures share: the file they are written to, the settings, the font, and how wide text is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from archwright.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = ["DejaVu Sans", "sans-serif"]  # the first comes with matplotlib, the second is for viewers of SVG
INK, FAINT = "#1a1a1a", "#4f4f4f"
DPI, MOST_PIXELS = 200, 12_000
_settings_are_taken = threading.RLock()


def checked_path(path: str | Path) -> Path:
    """The path, if its suffix is .png or .svg; otherwise ConfigError."""
    path = Path(path)
    if path.suffix.lower() not in (".png", ".svg"):
        raise ConfigError(
            f"{path}: pictures are drawn as .png or .svg, not as {path.suffix or 'a file without suffix'}"
        )
    return path


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's own defaults and ours, whatever the user's style is; the user's come back at the end.

    matplotlib reads settings from one global place while it makes and saves a figure, so one thread has them at a time.
    """
    from matplotlib import style

    ours = {
        "font.family": FONT,
        "font.sans-serif": [FONT[0], "Verdana", "Arial"],
        "svg.fonttype": "none",  # text stays text
        "svg.hashsalt": "archwright",  # equal figures give equal files
    }
    with _settings_are_taken, style.context(["default", ours]):
        yield


def save(figure: Figure, path: Path, *, title: str) -> Path:
    """Write a figure, with its folder if that is missing. ConfigError if the file cannot be written."""
    svg = path.suffix.lower() == ".svg"
    metadata = {"Title": title, **({"Date": None, "Creator": None} if svg else {"Software": None})}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=min(DPI, MOST_PIXELS / max(figure.get_size_inches())), metadata=metadata)
    except OSError as error:
        raise ConfigError(f"{path}: the picture cannot be written ({error.strerror or error})") from None
    return path


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of a line of text in inches; `size` in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72
