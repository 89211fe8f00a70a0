"""Readers of stored formats and of data are given damaged ones: they read them, or raise their one kind of error.

A second for each here; `make fuzz` takes as many examples as FUZZ says.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from archwright.analysis.comparing import compared
from archwright.cli.flags import config_file
from archwright.components import space_for
from archwright.data.decode import FORMATS, Encodings, decode
from archwright.data.images import Preprocessing
from archwright.data.npz import read_npz
from archwright.data.parquet import read_parquet
from archwright.data.text import TextData, load_text
from archwright.errors import ArchwrightError, ConfigError, DataError, RunError
from archwright.lab.contest import Course
from archwright.lab.record import Record
from archwright.modalities import read
from archwright.modalities.images.model import TrainedModel
from archwright.runs.plan import Plan
from archwright.space import Architecture, Open, Task, sample
from archwright.spaces.nas_conv import NasConv
from archwright.states import pack, unpack
from archwright.store import RunStore
from archwright.testing.stores import proposal, trial

EXAMPLES = int(os.environ.get("FUZZ", "60"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

SCALARS = st.none() | st.booleans() | st.integers(-3, 300) | st.integers() | st.floats() | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
DEEP = [b"[" * 100_000, b'{"a":' * 100_000]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with a key or index of it."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from places(value[key])


@st.composite
def documents(draw: Callable[..., Any], document: Any) -> Any:
    """The document with some values replaced, removed or renamed."""
    value = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            return draw(VALUES)
        inside, key = found[draw(st.integers(0, len(found) - 1))]
        how = draw(st.sampled_from(("replace", "replace", "remove", "rename")))
        if how == "replace":
            inside[key] = draw(VALUES)
        elif how == "remove" or isinstance(inside, list):
            del inside[key]
        else:
            inside[draw(st.text(max_size=4))] = inside.pop(key)
    return value


@st.composite
def damaged(draw: Callable[..., Any], content: bytes) -> bytes:
    """The bytes with some of them changed, cut or repeated."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(("flip", "flip", "set", "cut", "repeat")))
        if how == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif how == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif data:
            data[at] = draw(st.integers(0, 255)) if how == "set" else data[at] ^ (1 << draw(st.integers(0, 7)))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data)


def texts(document: Any) -> st.SearchStrategy[bytes]:
    """A JSON file, damaged as a document or as bytes."""
    whole = json.dumps(document).encode()
    as_text = documents(document).map(lambda value: json.dumps(value).encode())
    return as_text | as_text | damaged(whole) | st.sampled_from(DEEP)


def reads(kind: type[ArchwrightError] | tuple[type[ArchwrightError], ...], reader: Callable[[], Any]) -> None:
    """The reader returns, or raises an error of its kind."""
    with contextlib.suppress(kind):
        reader()


SPACE = NasConv(layers=2, first_layers=1)
ARCHITECTURE = sample(SPACE, 0)
PLAN = json.loads((Path(__file__).parent / "runs" / "old_runs" / "from_scratch_plan_0_1.json").read_text())
RESULT = {
    "data": "digits",
    "per_class": {"a": 0.5, "b": 1.0},
    "test_images": 10,
    "test_accuracy": 0.75,
    "test_interval": [0.6, 0.9],
    "parameters": 100,
    "multiply_adds": 1000,
    "random_search": {"same_time": {"test_accuracy": 0.5, "test_interval": [0.4, 0.6], "parameters": 90}},
    "reference": {"network": "r", "test_accuracy": 0.5, "test_interval": [0.4, 0.6], "parameters": 90},
}


@lru_cache(maxsize=1)
def model() -> dict[str, bytes]:
    """The files of a small model."""
    with tempfile.TemporaryDirectory() as folder:
        network = SPACE.network(Open.only(SPACE, ARCHITECTURE), Task(1, 4, 4, 2))
        preprocessing = Preprocessing((0.5,), (0.5,), 1, 4, 4, 1.0)
        TrainedModel(network, ARCHITECTURE, SPACE, ("a", "b"), preprocessing).save(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@fuzzed
@given(documents(ARCHITECTURE.to_json()))
def test_architectures(document: Any) -> None:
    reads(ArchwrightError, lambda: space_for(Architecture.from_json(document)))


@fuzzed
@example({**PLAN, "space": ""})
@example({**PLAN, "space": {"name": ""}})
@given(documents(PLAN) | documents(Plan.from_json(PLAN).to_json()))
def test_plans(document: Any) -> None:
    reads(RunError, lambda: Plan.from_json(document).to_json())


@fuzzed
@given(st.data())
def test_models(data: st.DataObject) -> None:
    files = dict(model())
    name = data.draw(st.sampled_from(sorted(files)))
    files[name] = data.draw(texts(json.loads(files[name])) if name.endswith(".json") else damaged(files[name]))
    with tempfile.TemporaryDirectory() as folder:
        for each, content in files.items():
            Path(folder, each).write_bytes(content)
        reads(ArchwrightError, lambda: TrainedModel.load(folder))


@fuzzed
@given(texts(RESULT))
def test_results(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "result.json").write_bytes(content)
        reads(RunError, lambda: compared([Path(folder)]))


@fuzzed
@given(st.data())
def test_comparisons(data: st.DataObject) -> None:
    asked, course = {"table": "t"}, vars(Course("random", 0, 5, ((1.0, 0.5, 0.5),), 0.1))
    lines = [data.draw(texts(line) | st.just(json.dumps(line).encode())) for line in (asked, course)]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "searches.jsonl").write_bytes(b"\n".join(lines))
        reads((RunError, ConfigError), lambda: Record(Path(folder), asked, resume=True))


@fuzzed
@given(damaged(yaml.safe_dump({"space": "nas-conv", "controller": {"name": "random"}, "seed": 1}).encode()))
def test_configurations(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_bytes(content)
        reads(ConfigError, lambda: config_file(str(path)))


@fuzzed
@given(damaged(pack({"step": 1, "weights": np.arange(6.0), "names": ["a", {"b": None}]})))
def test_states(content: bytes) -> None:
    reads(RunError, lambda: unpack(content))


@lru_cache(maxsize=2)
def archive(compressed: bool) -> bytes:
    stream = io.BytesIO()
    write = np.savez_compressed if compressed else np.savez
    write(stream, x=np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8), y=np.array([0, 1, 0, 1]))
    return stream.getvalue()


@fuzzed
@given(st.booleans().flatmap(lambda compressed: damaged(archive(compressed))))
def test_archives(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.npz")
        path.write_bytes(content)
        reads(DataError, lambda: read_npz(path, None, None))


@lru_cache(maxsize=8)
def picture(kind: str) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow's
@fuzzed
@given(st.sampled_from(FORMATS).flatmap(lambda kind: damaged(picture(kind))))
def test_pictures(content: bytes) -> None:
    reads(DataError, lambda: decode({"train": Encodings([content], str)}, (8, 8)))


@lru_cache(maxsize=2)
def table(kind: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": picture("PNG"), "path": f"{n}.png"} for n in range(4)]
    made, stream = pa.table({"image": images, "label": [0, 1, 0, 1]}), io.BytesIO()
    if kind == "parquet":
        pq.write_table(made, stream)
        return stream.getvalue()
    with pa.ipc.new_stream(stream, made.schema) as writer:
        writer.write_table(made)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore")  # Pillow's
@fuzzed
@given(st.sampled_from(("parquet", "arrow")).flatmap(lambda kind: st.tuples(st.just(kind), damaged(table(kind)))))
def test_tables(file: tuple[str, bytes]) -> None:
    kind, content = file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"x.{kind}")
        path.write_bytes(content)
        reads(DataError, lambda: read_parquet(path, None, None))


@fuzzed
@given(damaged("Ein Satz mit W\u00f6rtern, und noch einer.\n".encode() * 60), st.sampled_from(("words", "characters")))
def test_texts(content: bytes, level: Literal["words", "characters"]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.txt")
        path.write_bytes(content)
        reads(DataError, lambda: load_text(path, level=level))


@lru_cache(maxsize=1)
def database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        with RunStore(Path(folder, "run"), create=True) as store:
            store.put("plan", PLAN)
            store.proposed([(number, proposal(number)) for number in range(3)], 3)
            store.told([trial(number) for number in range(2)], {"weights": np.arange(30)})
        return Path(folder, "run", "run.sqlite").read_bytes()


@fuzzed
@given(damaged(database()), st.booleans())
def test_databases(content: bytes, writing: bool) -> None:
    def read(folder: str) -> None:
        with RunStore(folder) if writing else RunStore.reading(folder) as store:
            store.load()
            list(store.trials())
            store.get("plan")

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "run.sqlite").write_bytes(content)
        reads(RunError, lambda: read(folder))


FOLDERS = st.sampled_from(("train", "test", "val", "train2017", "a", "b", "c d", "train_a", ".x", "__x", "@eaDir"))
FILES = {
    **{"image.png": picture("PNG"), "photo": picture("JPEG"), ".hidden.png": b"", "Thumbs.db": b"no image"},
    **{"notes.txt": b"not an image, and no part of a text " * 50, "train.txt": b"a training part of a text " * 100},
    **{"valid.txt": b"a part of a text " * 100, "test.txt": b"a part of a text " * 100, "pipe": None, "link": None},
}
PLACES = st.tuples(st.lists(FOLDERS, max_size=3), st.sampled_from(sorted(FILES)), st.integers(1, 12))
USUAL: dict[str, list[tuple[list[str], str, int]]] = {
    "nothing": [],
    "classes": [(["a"], "image.png", 12), (["b"], "photo", 12)],
    "an unpacked archive": [(["c d", "train_a", inner], "image.png", 12) for inner in "ab"],
    "parts": [([part, inner], "image.png", 12) for part in ("train", "test", "val") for inner in "ab"],
    "parts in words": [([part, inner], "photo", 12) for part in ("train_a", "a_test") for inner in "ab"],
    "texts": [([], name, 1) for name in ("train.txt", "valid.txt", "test.txt")],
}


@pytest.mark.filterwarnings("ignore")  # Pillow's
@fuzzed
@given(st.sampled_from(sorted(USUAL)), st.lists(PLACES, max_size=5))
def test_folders(usual: str, more: list[tuple[list[str], str, int]]) -> None:
    """Every file is used, or counted as not used, but for those in folders that are not entered."""
    with tempfile.TemporaryDirectory() as root:
        made = set()
        for folders, name, count in USUAL[usual] + more:
            folder = Path(root, *folders)
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(count if name in ("image.png", "photo") else 1):
                path = folder / (f"{number} {name}" if number else name)
                if os.path.lexists(path):
                    continue
                if name == "pipe":
                    os.mkfifo(path)
                elif name == "link":
                    path.symlink_to("nowhere")
                else:
                    path.write_bytes(FILES[name] or b"")
                if not any(inner.startswith((".", "__")) or inner == "@eaDir" for inner in folders):
                    made.add(path)
        try:
            data = read(root, seed=0)
        except DataError:
            return
        used = 3 if isinstance(data, TextData) else sum(map(len, data.parts.values()))
        left = re.findall(r"^not used: ([\d,]+) (?!folders)", "\n".join(data.notes), flags=re.MULTILINE)
        assert used + sum(int(count.replace(",", "")) for count in left) == len(made)
