"""Rows of a table with images or text in it: of a parquet or Arrow file, or of a `datasets.Dataset` in memory.

Columns are found by their types and names, and names of classes by what the `datasets` library writes into a schema.
That library is not needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archwright.data.arrays import Layout
from archwright.data.decode import Encoded, Encodings, decode
from archwright.data.found import Found, Labels, Part, Progress, Size
from archwright.data.labels import canonical
from archwright.data.limits import require_room
from archwright.data.npz import from_arrays
from archwright.errors import DataError

IMAGE_COLUMNS = ("image", "img", "pixel_values", "pixels", "x")
LABEL_COLUMNS = ("label", "labels", "target", "class", "y")
TEXT_COLUMN = "text"
AT_A_TIME = 32  # rows that are read at a time; each may be large
ADVICE = "use fewer of its files, or smaller images"


@dataclass(frozen=True)
class Rows:
    """A table that is read in pieces. `where` names it in errors; `batches(columns)` yields Arrow record batches.

    `trusted`: in memory, so that an image may be a path, which of a stranger's file could be any file of the user's.
    """

    where: str
    schema: Any
    batches: Callable[[Sequence[str]], Iterator[Any]]
    trusted: bool = False


@dataclass(frozen=True)
class _Columns:
    image: str
    encoded: bool
    label: str
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]


def read_rows(
    parts: Mapping[str, Sequence[Rows]],
    called: Mapping[str, str],
    notes: Sequence[str],
    layout: Layout | None,
    image_size: Size | None,
    progress: Progress | None,
) -> Found:
    """Read the images and labels of all parts, each in one or more tables; `called` are the parts' own names."""
    columns = _columns(parts["train"][0])
    notes = [*notes, *columns.notes]
    images: dict[str, list[Any]] = {}
    names: dict[str, list[str]] = {}
    labels: dict[str, Labels] = {}
    held = 0
    for part, tables in parts.items():
        images[part], names[part], numbers = [], [], []
        for rows in tables:
            contents, own, found = _read(rows, columns, held)
            held += sum(map(_size, contents))
            images[part] += contents
            names[part] += own
            numbers.append(found)
        if not images[part]:
            raise DataError(f"{tables[0].where}: there are no rows")
        labels[part] = np.concatenate(numbers)
        if part != "train" and labels[part].dtype.kind == "i" and (labels[part] == -1).all():
            notes.append(f"the {part} part has no labels (all {len(labels.pop(part)):,} are -1) and was left out")
    if not columns.encoded:
        arrays = {
            part: (columns.image, _joined(images[part], called[part]), columns.label, y) for part, y in labels.items()
        }
        return from_arrays(arrays, layout, image_size, classes=columns.classes, notes=notes)
    encodings = {part: Encodings(images[part], names[part].__getitem__) for part in labels}
    decoded = decode(encodings, image_size, progress)
    found_parts = {p: Part(decoded.parts[p], labels[p], called[p]) for p in labels}
    return Found(found_parts, columns.classes, notes + decoded.notes, decoded.warnings, decoded.units)


def holds_text(rows: Rows) -> bool:
    """Return whether a table has a column of text, and no images."""
    import pyarrow as pa

    names = rows.schema.names
    kind = rows.schema.field(TEXT_COLUMN).type if TEXT_COLUMN in names else None
    if kind is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    return not (set(IMAGE_COLUMNS) & {*names} or any(map(_encoded, rows.schema)))


def read_texts(tables: Sequence[Rows]) -> str:
    """Return the texts of tables, each row a line or more."""
    lines: list[str] = []
    held = 0
    for rows in tables:
        for batch in rows.batches([TEXT_COLUMN]):
            for text in batch.column(0).to_pylist():
                lines.append((text or "").rstrip("\n"))
                held += len(lines[-1])
            require_room(8 * held, rows.where, "use a part of it")
    return "\n".join(lines)


def _encoded(field: Any) -> bool:
    """Return whether a field is a struct with the bytes of an image file."""
    import pyarrow as pa

    return bool(pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)


def _columns(rows: Rows) -> _Columns:
    import pyarrow as pa

    schema = rows.schema
    structs = [field.name for field in schema if _encoded(field)]
    named = [name for name in IMAGE_COLUMNS if name in structs] or (structs if len(structs) == 1 else [])
    arrays = [
        name for name in IMAGE_COLUMNS if name in schema.names and pa.types.is_nested(_storage(schema.field(name).type))
    ]
    if not named and (structs or not arrays):
        what = f"several ({', '.join(structs)}) and none is called image" if structs else "none"
        raise DataError(
            f"{rows.where}: an image column (a struct of bytes and path, or nested lists of numbers) is needed; "
            f"found {what} among {', '.join(schema.names)}"
        )
    features = _features(schema.metadata)
    known = [n for n, feature in features.items() if feature.get("_type") == "ClassLabel" and n in schema.names]
    labels = [name for name in LABEL_COLUMNS if name in schema.names] or known
    if not labels:
        raise DataError(f"{rows.where}: no label column found among {', '.join(schema.names)}; call it label")
    others = [name for name in known if name != labels[0]]
    notes = (f"labels are column {labels[0]}, not {', '.join(others)}",) if others else ()
    classes = _class_names(features.get(labels[0], {}))
    return _Columns((named or arrays)[0], bool(named), labels[0], classes, notes)


def _storage(kind: Any) -> Any:
    """Return what an extension type, such as an array of fixed shape, is stored as."""
    return getattr(kind, "storage_type", kind)


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
def readable(where: object, kind: str) -> Iterator[None]:
    """Turn the errors of pyarrow into a DataError that names the file."""
    import pyarrow as pa

    try:
        yield
    except MemoryError:  # one of pyarrow is an ArrowException, too
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{where}: not a readable {kind} file: {reason}") from error


def _read(rows: Rows, columns: _Columns, held: int) -> tuple[list[Any], list[str], Labels]:
    """Return the images, their names for errors, and the labels of one table.

    A file can hold an image once and show it in a million rows, so images are counted while they are read, beside the
    `held` bytes of other files. What a footer says of sizes is not asked for: where it is damaged, pyarrow aborts.
    """
    import pyarrow as pa

    missing = [name for name in (columns.image, columns.label) if name not in rows.schema.names]
    if missing:
        raise DataError(f"{rows.where}: no column {missing[0]}; found {', '.join(rows.schema.names)}")
    contents: list[Any] = []
    pieces = []
    with readable(rows.where, "table"):
        for batch in rows.batches([columns.image, columns.label]):
            for content in _images(batch.column(columns.image), columns.encoded, rows, len(contents)):
                contents.append(content)
                held += _size(content)
            require_room(held, rows.where, ADVICE)
            pieces.append(batch.column(columns.label))
        labels = pa.chunked_array(pieces, type=rows.schema.field(columns.label).type)
        y = labels.to_pylist() if labels.null_count else labels.to_numpy()
    names = [f"{rows.where}, row {row}" for row in range(len(contents))]
    return contents, names, canonical(y, f"{rows.where}, {columns.label}")


def _images(column: Any, encoded: bool, rows: Rows, first: int) -> Iterator[Any]:
    """Yield the images of a column: the bytes of files, or arrays; of a table in memory also paths."""
    import pyarrow.compute as pc

    if not encoded:
        for image in getattr(column, "storage", column).to_pylist():
            yield np.array(image)
        return
    contents: list[Encoded | None] = pc.struct_field(column, "bytes").to_pylist()
    if rows.trusted and column.type.get_field_index("path") >= 0:
        paths = pc.struct_field(column, "path").to_pylist()
        contents = [Path(p) if c is None and p else c for c, p in zip(contents, paths, strict=True)]
    for row, content in enumerate(contents, start=first):
        if not isinstance(content, (bytes, Path)):
            raise DataError(f"{rows.where}: row {row} has no image in it, at most a path; the images must be embedded")
        yield content


def _size(image: Any) -> int:
    return int(getattr(image, "nbytes", 0)) or (len(image) if isinstance(image, bytes) else 0)


def _joined(images: list[Any], part: str) -> Any:
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1 or images[0].dtype.kind not in "biuf":
        raise DataError(f"the {part} part: images must be numbers, all of one shape; found {shapes[:2]}")
    return np.stack(images)
