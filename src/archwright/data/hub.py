"""Data of the Hugging Face `datasets` library in memory, and its texts wherever they lie. The library is not needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from archwright.data.arrays import Layout
from archwright.data.found import Found, Progress, Size
from archwright.data.parquet import SUFFIXES, parts_of, rows_of
from archwright.data.rows import AT_A_TIME, Rows, holds_text, read_rows, read_texts
from archwright.data.tree import PART_NAMES, part_named, tree
from archwright.errors import DataError

WANTED = "a Dataset, or a DatasetDict of train, validation and test"


def is_hub(source: Any) -> bool:
    """Return whether a value is a `datasets.Dataset`, or a mapping of some by part (`DatasetDict`)."""
    if isinstance(source, Mapping):
        return bool(source) and all(map(is_hub, source.values()))
    return hasattr(source, "features") and hasattr(source, "with_format")


def read_hub(source: Any, layout: Layout | None, image_size: Size | None, progress: Progress | None) -> Found:
    """Read the images and labels of a dataset in memory, as it is: shuffled, selected, mapped."""
    parts, notes = _parts(source)
    return read_rows(parts, {part: part for part in parts}, notes, layout, image_size, progress)


def text_parts(source: Any) -> tuple[dict[str, str], list[str]] | None:
    """Return the texts by part of a dataset in memory, a file or a folder, and notes; None if it holds no text."""
    if isinstance(source, (str, Path)):
        found = _lying(Path(str(source).removeprefix("text:")))
    else:
        found = _parts(source) if is_hub(source) and _has_text(source) else None
    if found is None or not holds_text(found[0]["train"][0]):
        return None
    parts, notes = found
    unused = [name for name in parts["train"][0].schema.names if name != "text"]
    notes = [*notes, *([f"not used: columns {', '.join(unused)}; a language model reads text"] if unused else [])]
    return {part: read_texts(tables) for part, tables in parts.items()}, notes


def has_text(source: Any) -> bool:
    """Return whether a source has a table with text and no images, from its first schema."""
    if not isinstance(source, (str, Path)):
        return is_hub(source) and _has_text(source)
    path = Path(source)
    if path.is_dir():
        file = next((file for suffix in SUFFIXES for file in _near(path, suffix)), None)
    else:
        file = path if path.suffix in SUFFIXES and path.is_file() else None
    return file is not None and holds_text(rows_of(file))


def _has_text(source: Any) -> bool:
    tables = [_rows(each, "data") for each in (source.values() if isinstance(source, Mapping) else [source])]
    return holds_text(tables[0])


def _near(folder: Path, suffix: str) -> Iterator[Path]:
    """Yield the files of a suffix in a folder and in its folders that are parts."""
    parts = [path for path in folder.iterdir() if path.is_dir() and part_named(path.name)]
    for place in (folder, *sorted(parts)):
        yield from sorted(path for path in place.iterdir() if path.suffix == suffix and path.is_file())


def _lying(path: Path) -> tuple[Mapping[str, Sequence[Rows]], list[str]] | None:
    """Return the tables of each part in a file or folder."""
    if not path.is_dir():
        return ({"train": [rows_of(path)]}, []) if path.suffix in SUFFIXES else None
    if not has_text(path):
        return None
    lying = tree(path)
    files, notes = parts_of(lying)
    return {part: [rows_of(file) for file in lying.paths(names)] for part, names in files.items()}, notes


def _parts(source: Any) -> tuple[dict[str, list[Rows]], list[str]]:
    if not isinstance(source, Mapping):
        return {"train": [_rows(source, "train")]}, []
    known = {name: PART_NAMES[name.lower()] for name in source if name.lower() in PART_NAMES}
    if "train" not in known.values() or len(set(known.values())) < len(known):
        raise DataError(f"the data has the parts {', '.join(map(str, source))}; expected {WANTED}")
    others = [name for name in source if name not in known]
    notes = [f"not used: the parts {', '.join(others)}"] if others else []
    return {part: [_rows(source[name], name)] for name, part in known.items()}, notes


def _rows(dataset: Any, name: str) -> Rows:
    if not hasattr(dataset, "__len__"):
        raise DataError(f"{name} is a {type(dataset).__name__}, which has no length and cannot be split; give {WANTED}")

    def batches(columns: Sequence[str]) -> Iterator[Any]:
        for table in dataset.with_format("arrow", columns=list(columns)).iter(batch_size=AT_A_TIME):
            yield from table.combine_chunks().to_batches()

    return Rows(name, dataset.features.arrow_schema, batches, trusted=True)
