"""Parquet files as the Hugging Face Hub keeps image data: a column of {bytes, path}, a column of labels."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from archwright.data.decode import Encodings, decode
from archwright.data.found import PART_NAMES, Found, Labels, Part, Progress, Size
from archwright.data.labels import canonical
from archwright.errors import DataError

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "labels", "target", "class", "y")
SHARD = re.compile(r"(?P<part>.+?)(-(?P<number>\d+)-of-(?P<count>\d+))?", re.ASCII)


@dataclass(frozen=True)
class _Columns:
    image: str
    label: str
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def parquet_folder(folder: Path) -> Path | None:
    """Return the folder or the only one below it (the Hub uses `data`) that holds .parquet files, or None."""
    if any(folder.glob("*.parquet")):
        return folder
    below = sorted({path.parent for path in folder.glob("*/*.parquet")})
    if len(below) > 1:
        raise DataError(
            f"{folder}: parquet files in {', '.join(path.name for path in below)}; name one of these folders"
        )
    return below[0] if below else None


def read_parquet(path: Path, image_size: Size | None, progress: Progress | None) -> Found:
    """Read one file, or a folder of train, validation and test files, each whole or in shards `-00000-of-00003`.

    Class names come from the schema's metadata. A test part whose labels are all -1 (withheld) is left out.
    """
    files, notes = ({"train": [path]}, []) if path.is_file() else _files(path)
    columns = _columns(files["train"][0])
    notes += columns.notes
    encodings, labels = {}, {}
    for part, shards in files.items():
        contents, paths, numbers = zip(*(_read(shard, columns) for shard in shards), strict=True)
        images, names, y = list(chain(*contents)), list(chain(*paths)), np.concatenate(numbers)
        if not images:
            raise DataError(f"{shards[0]}: there are no rows")
        if part != "train" and y.dtype.kind == "i" and (y == -1).all():
            notes.append(f"the {part} part has no labels (all are -1) and was left out")
            continue
        labels[part] = y
        encodings[part] = Encodings(images, names.__getitem__)
    tensors, more = decode(encodings, image_size, progress)
    called = {part: _part_of(files[part][0])[0] if path.is_dir() else part for part in labels}
    return Found({p: Part(tensors[p], labels[p], called[p]) for p in labels}, columns.classes, notes + more)


def _part_of(file: Path) -> tuple[str, int | None]:
    """Return the part's own name and the number of its shards, from a file name."""
    match = SHARD.fullmatch(file.stem)
    assert match is not None
    return match["part"].lower(), int(match["count"]) if match["count"] else None


def _files(folder: Path) -> tuple[dict[str, list[Path]], list[str]]:
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.parquet")):
        files.setdefault(PART_NAMES.get(_part_of(file)[0], ""), []).append(file)
    strange = files.pop("", [])
    if not files:
        return {"train": strange}, []
    for part, shards in files.items():
        kinds = {_part_of(file) for file in shards}
        if len(kinds) > 1 or kinds.pop()[1] not in (len(shards), None):
            raise DataError(
                f"{folder}: the {part} part is incomplete or there twice: {', '.join(file.name for file in shards)}"
            )
    if "train" not in files:
        raise DataError(f"{folder}: there is {', '.join(f[0].name for f in files.values())} but no train.parquet")
    notes = [f"not used from {folder.name}: {', '.join(file.name for file in strange)}"] if strange else []
    return {part: files[part] for part in ("train", "validation", "test") if part in files}, notes


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


def _file(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not a readable parquet file: {str(error).splitlines()[0]}") from error


def _read(file: Path, columns: _Columns) -> tuple[list[bytes], list[str], Labels]:
    """Return the encoded images, their names for errors, and the labels of one file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    opened = _file(file)
    missing = [name for name in (columns.image, columns.label) if name not in opened.schema_arrow.names]
    if missing:
        raise DataError(f"{file}: no column {missing[0]}; found {', '.join(opened.schema_arrow.names)}")
    try:
        table = opened.read(columns=[columns.image, columns.label])
        contents = pc.struct_field(table[columns.image], "bytes").to_pylist()
        labels = table[columns.label]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not a readable parquet file: {str(error).splitlines()[0]}") from error
    for row, content in enumerate(contents):
        if not isinstance(content, bytes):
            raise DataError(f"{file}: row {row} has no image in it, at most a path; the images must be embedded")
    names = [f"{file}, row {row}" for row in range(len(contents))]
    y = labels.to_pylist() if labels.null_count else labels.to_numpy()
    return contents, names, canonical(y, f"{file}, {columns.label}")
