"""Folders of images: CLASS/*.png, with or without train, val and test folders above."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from archwright.data.decode import SUFFIXES, Encodings, decode
from archwright.data.found import PART_NAMES, Found, Part, Progress, Size
from archwright.errors import DataError


def read_folder(folder: Path, image_size: Size | None, progress: Progress | None) -> Found:
    """Read a folder of class folders. Everything below a class folder belongs to the class; hidden names are skipped.

    There are parts if "train" holds folders of its own (so a class may be called train). Class names are in text order.
    """
    tops, notes = _parts(_descend(folder))
    files: dict[str, list[Path]] = {}
    labels: dict[str, list[str]] = {}
    for part, path in tops.items():
        files[part], labels[part] = [], []
        loose, classes = _images_in(path), _folders_in(path)
        if loose and not classes:
            raise DataError(
                f"{path}: {len(loose)} images lie there without class folders; put each class in a folder of its own"
            )
        if loose:
            notes.append(f"{len(loose)} images outside any class folder of {path.name} were left out")
        for name in classes:
            images = _images_below(path / name)
            files[part] += images
            labels[part] += [name] * len(images)
            if not images:
                notes.append(f"{(path / name).relative_to(folder)} holds no images and was left out")
        if not files[part]:
            raise DataError(
                f"{path}: no images found; expected CLASS/*.png or train/CLASS/*.png ({', '.join(sorted(SUFFIXES))})"
            )
    encodings = {part: Encodings(paths, lambda i, paths=paths: str(paths[i])) for part, paths in files.items()}  # type: ignore[misc]
    tensors, more = decode(encodings, image_size, progress)
    parts = {part: Part(tensors[part], np.array(labels[part]), tops[part].name) for part in tops}
    return Found(parts, None, notes + more)


def _descend(folder: Path) -> Path:
    """Enter folders that hold just one other folder, as unpacked archives often do."""
    while len(inner := _folders_in(folder)) == 1 and _folders_in(folder / inner[0]) and not _images_in(folder):
        folder = folder / inner[0]
    return folder


def _parts(top: Path) -> tuple[dict[str, Path], list[str]]:
    names = _folders_in(top)
    parts: dict[str, Path] = {}
    for name in names:
        part = PART_NAMES.get(name.lower())
        if part is None or not _folders_in(top / name):
            continue
        if part in parts:
            raise DataError(f"{top}: both {parts[part].name} and {name} could be the {part} part; keep one")
        parts[part] = top / name
    if "train" not in parts:
        if parts:
            found = ", ".join(path.name for path in parts.values())
            raise DataError(f"{top}: there is {found} but no train folder with classes")
        return {"train": top}, []
    others = [name for name in names if top / name not in parts.values()]
    notes = [f"not used from {top.name}: {', '.join(others)}"] if others else []
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}, notes


def _folders_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.rpartition(".")[2].lower() in SUFFIXES


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _is_image(path.name) and path.is_file())


def _images_below(folder: Path) -> list[Path]:
    found = []
    for where, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        found += [Path(where, name) for name in sorted(names) if _is_image(name)]
    return found
