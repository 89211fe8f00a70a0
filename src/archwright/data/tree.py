"""What lies in a folder: images, other files, and what is not looked at. One walk for `check`, `search` and `predict`.

Contents decide what an image is. A file that is only called one counts too: it is an error when it is read, since data
is lost. docs/data.md has the rules.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from archwright.errors import DataError

Inside: TypeAlias = tuple[str, ...]  # a path below the folder, name by name

SUFFIXES = frozenset(("png", "jpg", "jpeg", "jpe", "bmp", "webp", "gif", "ppm", "pgm", "pbm", "tif", "tiff"))
# How PNG, JPEG, BMP, GIF, TIFF and PNM begin; the size of a BMP stands where text has letters.
IMAGE = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|BM....\0\0\0\0|GIF8|II\*\0|MM\0\*|RIFF....WEBP|P[1-6]\s+[\d#]", re.DOTALL
)
PART_NAMES = dict.fromkeys(("train", "training"), "train") | dict.fromkeys(("test", "testing"), "test")
PART_NAMES |= dict.fromkeys(("val", "valid", "validation", "dev"), "validation")
PARTS: tuple[str, ...] = ("train", "validation", "test")
LISTED = 5


@dataclass(frozen=True)
class Tree:
    """All that lies below `root`, in the order of names, files of a folder before its folders.

    `skipped` are folders that are not entered (hidden, `__MACOSX`, `@eaDir`, links to folders that were entered),
    `hidden` counts files, and `special` pipes, devices and links to nothing.
    """

    root: Path
    images: list[Inside] = field(default_factory=list)
    others: list[Inside] = field(default_factory=list)
    folders: list[Inside] = field(default_factory=list)
    skipped: list[Inside] = field(default_factory=list)
    hidden: list[Inside] = field(default_factory=list)
    special: list[Inside] = field(default_factory=list)

    def paths(self, inside: Iterable[Inside]) -> list[Path]:
        """Return the paths of files in this folder."""
        return [self.root.joinpath(*names) for names in inside]

    def unused(self, used: Iterable[Inside] = (), wanted: str = "no images") -> list[str]:
        """Return in sentences what else lies here, with its count; `used` are files that are not images."""
        used = {*used}
        rest = [names for names in self.others if names not in used]
        suffixes = Counter(Path(names[-1]).suffix.lower() or "without a suffix" for names in rest)
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in suffixes.most_common(LISTED))
        found = {
            f"files that are {wanted} ({kinds}{', ...' if len(suffixes) > LISTED else ''})": len(rest),
            "hidden files": len(self.hidden),
            "pipes, devices or links to nothing": len(self.special),
            f"folders ({listed({names[-1] for names in self.skipped})})": len(self.skipped),
        }
        return [f"not used: {count:,} {what}" for what, count in found.items() if count]


def listed(names: Iterable[str]) -> str:
    """Return the first few names."""
    every = sorted(names)
    return ", ".join(every[:LISTED]) + (f" and {len(every) - LISTED:,} more" if len(every) > LISTED else "")


def tree(root: Path) -> Tree:
    """Walk a folder, through links too."""
    found = Tree(root)
    for kind, names in _walk(root):
        getattr(found, kind).append(names)
    return found


def has_images_in_folders(root: Path) -> bool:
    """Return whether a folder below `root` holds an image, a parquet or an Arrow file."""
    wanted = (
        kind == "images" or names[-1].endswith((".parquet", ".arrow")) for kind, names in _walk(root) if len(names) > 1
    )
    return any(wanted)


def _walk(root: Path) -> Iterator[tuple[str, Inside]]:
    """Yield the field of `Tree` that a path belongs to, and the path."""
    entered: set[tuple[int, int]] = set()
    pending: list[tuple[Inside, bool]] = [((), False)]  # folders, and whether links lead there
    while pending:
        inside, linked = pending.pop()
        folder = root.joinpath(*inside)
        try:
            status = folder.stat()
            if linked and (status.st_dev, status.st_ino) in entered:
                yield "skipped", inside
                continue
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{folder}: {error.strerror}") from None
        entered.add((status.st_dev, status.st_ino))
        if inside:
            yield "folders", inside
        inner = []
        for entry in entries:
            names, kind = (*inside, entry.name), _kind(entry)
            if kind == "folder":
                if entry.name.startswith((".", "__")) or entry.name == "@eaDir":
                    yield "skipped", names
                else:
                    inner.append((names, entry.is_symlink()))
            elif kind != "file":
                yield "special", names
            elif entry.name.startswith("."):
                yield "hidden", names
            else:
                yield "images" if is_image(Path(entry.path)) else "others", names
        pending += reversed(inner)


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else "special"
    except OSError:  # a link to itself
        return "special"


def is_image(path: Path) -> bool:
    """Return whether a file is called an image or begins like one."""
    return path.suffix[1:].lower() in SUFFIXES or IMAGE.match(beginning(path)) is not None


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def part_named(name: str) -> str | None:
    """Return the part that a name has among its words, such as `corpus.train.txt`, if it is one."""
    parts = {PART_NAMES[word] for word in re.findall("[a-z]+", name.lower()) if word in PART_NAMES}
    return parts.pop() if len(parts) == 1 else None


def part_called(name: str) -> str | None:
    """Return the part that a name is, but for numbers and a hash: `val2017`, `test-00000-of-00001-0a1b2c3d`."""
    match = re.fullmatch(r"([a-z]+)(?:[-_. ]?\d[\d\-_.]*(?:of[-_.]?\d+)?(?:[-_.]?[0-9a-f]{8,})?)?", name.lower())
    return PART_NAMES.get(match[1]) if match else None
