"""Parquet files as the Hugging Face Hub keeps image data: a column of {bytes, path}, a column of labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from archwright.data.decode import Encodings, decode
from archwright.data.found import Found, Labels, Part, Progress, Size
from archwright.data.labels import canonical
from archwright.data.limits import require_room
from archwright.data.tree import PART_NAMES, PARTS, Inside, Tree, listed, part_called, part_named
from archwright.errors import DataError

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "target", "class", "y")
ROWS = 32  # read at a time; each may be large
ADVICE = "use fewer of its files, or smaller images"


@dataclass(frozen=True)
class _Columns:
    image: str
    label: str
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def read_parquet(path: Path, image_size: Size | None, progress: Progress | None) -> Found:
    """Read one file. Class names come from the schema's metadata."""
    return _read_files({"train": [path]}, {"train": "train"}, [], image_size, progress)


def read_parquets(lying: Tree, image_size: Size | None, progress: Progress | None) -> Found:
    """Read a folder of train, validation and test files, each whole or in shards `-00000-of-00003-HASH`.

    The part stands in a file's name or in that of a folder (train/0000.parquet). Files without one are all of the data,
    or left out beside others that have one. A test part whose labels are all -1 (withheld) is left out.
    """
    every = [names for names in lying.others if names[-1].endswith(".parquet")]
    parts = {
        names: next(filter(None, map(part_named, (Path(names[-1]).stem, *names[-2::-1]))), None) for names in every
    }
    above = {tuple(name for name in names[:-1] if part_called(name) is None) for names in every}
    if len(above) > 1:
        folders = ", ".join(sorted("/".join(names) or "." for names in above))
        raise DataError(f"{lying.root}: parquet files in {folders}; name one of these folders")
    files: dict[str, list[Inside]] = {}
    for names, part in parts.items():
        files.setdefault(part or "", []).append(names)
    strange = files.pop("", [])
    if not files:
        files, strange = {"train": strange}, []
    if "train" not in files:
        raise DataError(f"{lying.root}: there is {listed(names[-1] for names in parts)} but no train.parquet")
    for part, shards in files.items():
        _check_shards(lying.root, part, shards)
    notes = lying.unused(every, "no parquet")
    if lying.images:
        notes.append(f"not used: {len(lying.images):,} image files beside the parquet files")
    if strange:
        notes.append(f"not used: {len(strange):,} parquet files of no part ({listed(names[-1] for names in strange)})")
    ordered = {part: lying.paths(files[part]) for part in PARTS if part in files}
    called = {part: _part_word(files[part][0], part) for part in ordered}
    return _read_files(ordered, called, notes, image_size, progress)


def _part_word(names: Inside, part: str) -> str:
    """Return what a file or its folder calls the part."""
    words = [word for name in names for word in re.findall("[a-z]+", name.lower())]
    return next((word for word in words if PART_NAMES.get(word) == part), part)


def _check_shards(folder: Path, part: str, shards: list[Inside]) -> None:
    """Refuse a part of which shards are missing, or that is there twice."""
    kinds = set()
    for *above, name in shards:
        stem = re.sub(r"[-_.][0-9a-f]{8,}$", "", Path(name).stem.lower())
        count = re.search(r"-of-(\d+)", stem)
        kinds.add((*above, re.sub(r"\d+(-of-\d+)?", "", stem), int(count[1]) if count else None))
    if len(kinds) > 1 or kinds.pop()[-1] not in (len(shards), None):
        raise DataError(
            f"{folder}: the {part} part is incomplete or there twice: {', '.join(names[-1] for names in shards)}"
        )


def _read_files(
    files: dict[str, list[Path]],
    called: dict[str, str],
    notes: list[str],
    image_size: Size | None,
    progress: Progress | None,
) -> Found:
    columns = _columns(files["train"][0])
    notes = [*notes, *columns.notes]
    size = sum(file.stat().st_size for file in chain(*files.values()))
    require_room(size, f"the images of {files['train'][0]}", ADVICE)
    encodings, labels, held = {}, {}, 0
    for part, shards in files.items():
        images: list[bytes] = []
        names: list[str] = []
        numbers: list[Labels] = []
        for shard in shards:
            contents, rows, found = _read(shard, columns, held)
            held += sum(map(len, contents))
            images += contents
            names += rows
            numbers.append(found)
        y = np.concatenate(numbers)
        if not images:
            raise DataError(f"{shards[0]}: there are no rows")
        if part != "train" and y.dtype.kind == "i" and (y == -1).all():
            notes.append(f"the {part} part has no labels (all {len(y):,} are -1) and was left out")
            continue
        labels[part] = y
        encodings[part] = Encodings(images, names.__getitem__)
    decoded = decode(encodings, image_size, progress)
    parts = {p: Part(decoded.parts[p], labels[p], called[p]) for p in labels}
    return Found(parts, columns.classes, notes + decoded.notes, decoded.warnings, decoded.units)


def _columns(file: Path) -> _Columns:
    import pyarrow as pa

    schema = _file(file).schema_arrow
    structs = [c.name for c in schema if pa.types.is_struct(c.type) and c.type.get_field_index("bytes") >= 0]
    features = _features(schema.metadata)
    named = [name for name in IMAGE_COLUMNS if name in structs]
    if not named and len(structs) != 1:
        what = f"several ({', '.join(structs)}) and none is called image" if structs else "none"
        raise DataError(
            f"{file}: an image column (a struct of bytes and path) is needed; "
            f"found {what} among {', '.join(schema.names)}"
        )
    known = [n for n, feature in features.items() if feature.get("_type") == "ClassLabel" and n in schema.names]
    labels = [name for name in LABEL_COLUMNS if name in schema.names] or known
    if not labels:
        raise DataError(f"{file}: no label column found among {', '.join(schema.names)}; call it label")
    others = [name for name in known if name != labels[0]]
    notes = (f"labels are column {labels[0]}, not {', '.join(others)}",) if others else ()
    return _Columns(named[0] if named else structs[0], labels[0], _class_names(features.get(labels[0], {})), notes)


def _features(metadata: dict[bytes, bytes] | None) -> dict[str, dict[str, Any]]:
    """Return the features that the `datasets` library describes in the schema; nothing without a description."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _class_names(feature: dict[str, Any]) -> tuple[str, ...] | None:
    names = feature.get("names")
    if isinstance(names, dict):  # older files: {"0": "cat", "1": "dog"}
        names = [names[key] for key in sorted(names, key=int)]
    return tuple(str(name) for name in names) if isinstance(names, list) else None


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn the errors of pyarrow into a DataError that names the file."""
    import pyarrow as pa

    try:
        yield
    except MemoryError:  # one of pyarrow is an ArrowException, too
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{file}: not a readable parquet file: {reason}") from error


def _file(file: Path) -> Any:
    import pyarrow.parquet as pq

    with _readable(file):
        return pq.ParquetFile(file)


def _read(file: Path, columns: _Columns, held: int) -> tuple[list[bytes], list[str], Labels]:
    """Return the encoded images, their names for errors, and the labels of one file.

    A file can hold an image once and show it in a million rows, so images are counted while they are read, beside the
    `held` bytes of other files. What the footer says of sizes is not asked for: where it is damaged, pyarrow aborts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    opened = _file(file)
    missing = [name for name in (columns.image, columns.label) if name not in opened.schema_arrow.names]
    if missing:
        raise DataError(f"{file}: no column {missing[0]}; found {', '.join(opened.schema_arrow.names)}")
    contents: list[bytes] = []
    pieces = []
    with _readable(file):
        for batch in opened.iter_batches(batch_size=ROWS, columns=[columns.image, columns.label]):
            for content in pc.struct_field(batch.column(columns.image), "bytes").to_pylist():
                if not isinstance(content, bytes):
                    what = f"row {len(contents)} has no image in it, at most a path"
                    raise DataError(f"{file}: {what}; the images must be embedded")
                contents.append(content)
                held += len(content)
            require_room(held, str(file), ADVICE)
            pieces.append(batch.column(columns.label))
        labels = pa.chunked_array(pieces, type=opened.schema_arrow.field(columns.label).type)
    names = [f"{file}, row {row}" for row in range(len(contents))]
    y = labels.to_pylist() if labels.null_count else labels.to_numpy()
    return contents, names, canonical(y, f"{file}, {columns.label}")
