"""Plain data against the annotations of dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from archwright.errors import ConfigError, RunError
from archwright.stored import conforms, load, made, parsed, reading


@dataclass(frozen=True)
class Small:
    count: int
    rate: float = 0.5
    names: tuple[str, ...] = ()
    pair: tuple[int, float] | None = None
    kind: Literal["a", "b"] = "a"
    more: Mapping[str, float] = field(default_factory=dict)
    flag: bool = False
    anything: Unknown = None  # type: ignore[name-defined]


@pytest.mark.parametrize(
    "values",
    [
        {"count": 3},
        {"count": np.int64(3), "rate": np.float32(0.5)},
        {"count": 3, "rate": 1, "names": ["x"], "pair": [1, 2], "kind": "b", "more": {"a": 1}, "flag": True},
        {"count": 3, "pair": None, "names": (), "anything": object()},
    ],
)
def test_what_conforms_is_made(values: dict[str, Any]) -> None:
    assert made(Small, values, "it") == Small(**values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "it needs the field 'count'"),
        ({"count": 3, "x": 1}, "it has no field 'x'; there are anything, count"),
        ({"count": "3"}, "it: count is '3'; it must be int"),
        ({"count": True}, "count is True"),
        ({"count": 1.0}, "count is 1.0"),
        ({"count": None}, "count is None"),
        ({"count": 1, "rate": "x"}, "rate is 'x'"),
        ({"count": 1, "names": "abc"}, "names is 'abc'"),
        ({"count": 1, "names": ["a", 1]}, "names is"),
        ({"count": 1, "pair": [1]}, "pair is"),
        ({"count": 1, "pair": [1, 2, 3]}, "pair is"),
        ({"count": 1, "kind": "c"}, "kind is 'c'"),
        ({"count": 1, "kind": ["a"]}, "kind is"),
        ({"count": 1, "more": [1]}, "more is"),
        ({"count": 1, "more": {"a": "b"}}, "more is"),
        ({"count": 1, "flag": 1}, "flag is 1"),
        ({"count": 1, "rate": [[0] * 1000]}, "rate is "),
    ],
)
def test_what_does_not_conform_is_one_error(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made(Small, values, "it")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 150


def test_an_unknown_kind_holds_everything() -> None:
    assert conforms(3, Any)
    assert conforms(3, Path)


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), ZeroDivisionError(), ConfigError("x"), MemoryError()]
)
def test_whatever_makes_no_sense_is_a_run_error(error: Exception) -> None:
    with pytest.raises(RunError, match="the file is damaged"), reading("the file"):
        raise error
    with pytest.raises(RunError, match=r"^as it was$"), reading("the file"):
        raise RunError("as it was")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'"\xff"'])
def test_what_is_no_json_is_a_run_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(RunError, match=r"x\.json is damaged"):
        load(tmp_path / "x.json")
    with pytest.raises(RunError, match="it is damaged"):
        parsed(content, "it")
    for missing in (tmp_path / "none.json", tmp_path, Path("x" * 5000)):
        with pytest.raises(RunError):
            load(missing)
