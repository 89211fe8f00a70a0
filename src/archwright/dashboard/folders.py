"""The run folders that a dashboard shows."""

from __future__ import annotations

from pathlib import Path

from archwright.runs.folder import runs_below


def run_folders(root: Path) -> list[Path]:
    """Return the run folders directly below `root`, or `root` if it is one. Links could lead elsewhere: none is."""
    if (root / "run.sqlite").is_file():
        return [root]
    return [folder for folder in runs_below(root) if not folder.is_symlink()]
