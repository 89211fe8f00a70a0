"""Folders of images: CLASS/*.png, with or without train, val and test folders above."""

from __future__ import annotations

import numpy as np

from archwright.data.decode import Encodings, decode
from archwright.data.found import Found, Part, Progress, Size
from archwright.data.tree import PARTS, Inside, Tree, listed, part_called, part_named
from archwright.errors import DataError

EXPECTED = "expected CLASS/*.png or train/CLASS/*.png"


def read_folder(lying: Tree, image_size: Size | None, progress: Progress | None) -> Found:
    """Read a folder of class folders. Everything below a class folder belongs to the class.

    Folders named as parts that hold folders with images are parts. Class names are in text order. `notes` of the result
    count all that is not used.
    """
    if not lying.images:
        found = ", ".join(lying.unused()).replace("not used: ", "")
        raise DataError(f"{lying.root}: no images found; {EXPECTED}; there are {found or 'no files'}")
    top = _top(lying.images)
    parts, notes, warnings = _parts(lying, top)
    encodings: dict[str, Encodings] = {}
    labels: dict[str, list[str]] = {}
    for part, above in parts.items():
        images = _below(lying.images, above)
        above = above + _top([names[len(above) :] for names in images])  # an unpacked archive's folder in a folder
        inner = [names for names in images if len(names) > len(above) + 1]
        if not inner:
            where = lying.root.joinpath(*above)
            raise DataError(f"{where}: {len(images):,} images lie there without class folders; {EXPECTED}")
        if loose := len(images) - len(inner):
            notes.append(f"not used: {loose:,} images outside any class folder of {_name(lying, above)}")
        labels[part] = [names[len(above)] for names in inner]
        folders = {names[len(above)] for names in _below(lying.folders, above)}
        if empty := folders - {*labels[part]}:
            notes.append(f"not used: {len(empty):,} folders without images in {_name(lying, above)} ({listed(empty)})")
        paths = lying.paths(inner)
        encodings[part] = Encodings(paths, lambda i, paths=paths: str(paths[i]))  # type: ignore[misc]
    decoded = decode(encodings, image_size, progress)
    found_parts = {part: Part(decoded.parts[part], np.array(labels[part]), _name(lying, parts[part])) for part in parts}
    every = notes + lying.unused() + decoded.notes
    return Found(found_parts, None, every, warnings + decoded.warnings, decoded.units)


def _below(paths: list[Inside], above: Inside) -> list[Inside]:
    return [names for names in paths if names[: len(above)] == above and len(names) > len(above)]


def _name(lying: Tree, above: Inside) -> str:
    return above[-1] if above else lying.root.name


def _top(images: list[Inside]) -> Inside:
    """Return the folders that hold just one other folder with images, as unpacked archives often do."""
    top: Inside = ()
    while all(len(names) > len(top) + 1 for names in images) and len({names[: len(top) + 1] for names in images}) == 1:
        if not any(len(names) > len(top) + 2 for names in images):  # a class folder
            break
        top = images[0][: len(top) + 1]
    return top


def _parts(lying: Tree, top: Inside) -> tuple[dict[str, Inside], list[str], list[str]]:
    """Return the folder of each part, notes, and warnings."""
    depth, where = len(top), lying.root.joinpath(*top)
    holding = {names[depth] for names in lying.images if len(names) > depth + 1}
    with_folders = sorted({names[depth] for names in lying.images if len(names) > depth + 2})
    called = {name: part for name in with_folders if (part := part_called(name))}
    if not called:
        worded = {name: part for name in with_folders if (part := part_named(name))}
        called = worded if len({*worded.values()}) > 1 and "train" in worded.values() else {}
    parts: dict[str, Inside] = {}
    for name, part in called.items():
        if part in parts:
            raise DataError(f"{where}: both {parts[part][-1]} and {name} could be the {part} part; keep one")
        parts[part] = (*top, name)
    if parts and "train" not in parts:
        found = ", ".join(names[-1] for names in parts.values())
        raise DataError(f"{where}: there is {found} but no train folder with classes")
    if not parts:
        odd = sorted(name for name in holding if part_called(name))
        if odd and len(odd) == len(holding):
            raise DataError(f"{where}: {', '.join(odd)} hold images without class folders; {EXPECTED}")
        also = f"the folders {', '.join(odd)} are read as classes, as {listed(holding - {*odd})} beside them"
        return {"train": top}, [], [also] if odd else []
    notes = [
        f"not used: {len(_below(lying.images, (*top, name))):,} images in {name}, which is no part with class folders"
        for name in sorted(holding - called.keys())
    ]
    if loose := [names for names in lying.images if len(names) == depth + 1]:
        notes.append(f"not used: {len(loose):,} images beside the parts")
    return {part: parts[part] for part in PARTS if part in parts}, notes, []
