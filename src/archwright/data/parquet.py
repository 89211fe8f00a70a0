"""Parquet files as the Hugging Face Hub keeps data, and Arrow files as `datasets` keeps it on disk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from archwright.data.arrays import Layout
from archwright.data.found import Found, Progress, Size
from archwright.data.limits import require_room
from archwright.data.rows import ADVICE, AT_A_TIME, Rows, read_rows, readable
from archwright.data.tree import PART_NAMES, PARTS, Inside, Tree, beginning, listed, part_called, part_named
from archwright.errors import DataError

SUFFIXES = (".parquet", ".arrow")
STATE = "state.json"  # that `Dataset.save_to_disk` writes


def read_parquet(path: Path, image_size: Size | None, progress: Progress | None, layout: Layout | None = None) -> Found:
    """Read one file. Class names come from the schema's metadata."""
    return _read_files({"train": [path]}, {"train": "train"}, [], layout, image_size, progress)


def read_parquets(
    lying: Tree, image_size: Size | None, progress: Progress | None, layout: Layout | None = None
) -> Found:
    """Read a folder of train, validation and test files, each whole or in shards `-00000-of-00003-HASH`.

    The part stands in a file's name or in that of a folder (train/0000.parquet). Files without one are all of the data,
    or left out beside others that have one. A test part whose labels are all -1 (withheld) is left out.
    """
    files, notes = parts_of(lying)
    called = {part: _part_word(shards[0], part) for part, shards in files.items()}
    paths = {part: lying.paths(shards) for part, shards in files.items()}
    return _read_files(paths, called, notes, layout, image_size, progress)


def parts_of(lying: Tree) -> tuple[dict[str, list[Inside]], list[str]]:
    """Return the files of each part, of parquet or else of Arrow, and notes on what is not used."""
    suffix = next(suffix for suffix in SUFFIXES if any(names[-1].endswith(suffix) for names in lying.others))
    every = [names for names in lying.others if names[-1].endswith(suffix)]
    notes = lying.unused([*every, *_described(lying)], f"no {suffix[1:]}")
    if lying.images:
        notes.append(f"not used: {len(lying.images):,} image files beside the {suffix[1:]} files")
    if cached := [names for names in every if not _saved(lying.root, names)]:
        every = [names for names in every if names not in cached]
        notes.append(f"not used: {len(cached):,} cached files ({listed(names[-1] for names in cached)})")
    parts = {
        names: next(filter(None, map(part_named, (Path(names[-1]).stem, *names[-2::-1]))), None) for names in every
    }
    above = {tuple(name for name in names[:-1] if part_called(name) is None) for names in every}
    if len(above) > 1:
        folders = ", ".join(sorted("/".join(names) or "." for names in above))
        raise DataError(f"{lying.root}: {suffix[1:]} files in {folders}; name one of these folders")
    files: dict[str, list[Inside]] = {}
    for names, part in parts.items():
        files.setdefault(part or "", []).append(names)
    strange = files.pop("", [])
    if not files:
        files, strange = {"train": strange}, []
    if "train" not in files:
        raise DataError(f"{lying.root}: there is {listed(names[-1] for names in parts)} but no train{suffix}")
    for part, shards in files.items():
        _check_shards(lying.root, part, shards)
    if strange:
        kind = f"{len(strange):,} {suffix[1:]} files of no part ({listed(names[-1] for names in strange)})"
        notes.append(f"not used: {kind}")
    return {part: files[part] for part in PARTS if part in files}, notes


def rows_of(path: Path) -> Rows:
    """Open a parquet or Arrow file."""
    if path.suffix.lower() == ".arrow":
        return Rows(str(path), _arrow_schema(path), lambda columns: _arrow_batches(path, columns))
    opened = _parquet(path)
    return Rows(str(path), opened.schema_arrow, lambda columns: _parquet_batches(path, opened, columns))


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    with readable(path, "parquet"):
        return pq.ParquetFile(path)


def _parquet_batches(path: Path, opened: Any, columns: Sequence[str]) -> Iterator[Any]:
    with readable(path, "parquet"):
        yield from opened.iter_batches(batch_size=AT_A_TIME, columns=list(columns))


def _arrow_batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Yield the batches of an Arrow file, checked: a wrong offset would read other memory."""
    with readable(path, "arrow"), _opened(path) as reader:
        for batch in _batches(reader):
            batch.validate(full=True)
            wanted = batch.select(list(columns))
            for first in range(0, batch.num_rows, AT_A_TIME):
                yield wanted.slice(first, AT_A_TIME)


def _arrow_schema(path: Path) -> Any:
    with readable(path, "arrow"), _opened(path) as reader:
        _ = reader.schema.names  # an error if they are no text
        return reader.schema


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open either of Arrow's formats: a stream, as `datasets` writes, or a file, which begins with ARROW1."""
    import pyarrow as pa

    with pa.OSFile(str(path), "rb") as source:
        opened = pa.ipc.open_file if beginning(path).startswith(b"ARROW1") else pa.ipc.open_stream
        yield opened(source)


def _batches(reader: Any) -> Iterator[Any]:
    if hasattr(reader, "num_record_batches"):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _described(lying: Tree) -> list[Inside]:
    """Return the files in which `datasets` describes what it saved."""
    return [names for names in lying.others if names[-1] in (STATE, "dataset_info.json", "dataset_dict.json")]


def _saved(root: Path, names: Inside) -> bool:
    """Return whether a file is one of those that a data set was saved in; others in its folder are a cache."""
    state = root.joinpath(*names[:-1], STATE)
    if not state.is_file():
        return True
    try:
        described = json.loads(state.read_bytes())
        indices, files = described.get("_indices_data_files"), [each["filename"] for each in described["_data_files"]]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{state} is damaged: {error!r}") from None
    if indices:
        raise DataError(f"{state}: the rows are chosen by a table of indices; save it again with save_to_disk")
    return names[-1] in files


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
    layout: Layout | None,
    image_size: Size | None,
    progress: Progress | None,
) -> Found:
    size = sum(file.stat().st_size for file in chain(*files.values()))
    require_room(size, f"the images of {files['train'][0]}", ADVICE)
    parts = {part: [rows_of(path) for path in paths] for part, paths in files.items()}
    return read_rows(parts, called, notes, layout, image_size, progress)
