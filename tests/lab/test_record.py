"""The files of a long comparison: what a kill leaves is read, and later ones are too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archwright.errors import ConfigError, RunError
from archwright.lab.contest import Course
from archwright.lab.record import FORMAT, JsonLines, Record, alone

HEADER = {"table": "t", "format": FORMAT}


def test_a_line_cut_short_by_a_kill_is_removed_and_the_file_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "children.jsonl"
    assert JsonLines(path).read() == []
    for _ in range(2):
        lines = JsonLines(path, keys=["seed"])
        known = lines.read()
        lines.append({"seed": len(known)})
        with path.open("a") as file:
            file.write('{"seed": 1')
    assert JsonLines(path).read() == [{"seed": 0}, {"seed": 1}]
    assert path.read_text() == '{"seed": 0}\n{"seed": 1}\n'


@pytest.mark.parametrize("line", ["{", "[]", "{}"])
def test_damage_elsewhere_is_an_error_that_names_the_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "children.jsonl"
    path.write_text(f'{{"seed": 0}}\n{line}\n{{"seed": 1}}\n')
    with pytest.raises(RunError, match=r"children\.jsonl: line 2 is damaged"):
        JsonLines(path, keys=["seed"]).read()


def test_searches_that_a_folder_holds_are_not_overwritten(tmp_path: Path) -> None:
    course = Course("random", 0, 5, ((1.0, 0.5, 0.5),), 0.1)
    Record(tmp_path, {"table": "t"}, resume=False).add(course)
    before = (tmp_path / "searches.jsonl").read_bytes()
    with pytest.raises(ConfigError, match="holds 1 searches; --resume keeps them"):
        Record(tmp_path, {"table": "t"}, resume=False)
    assert (tmp_path / "searches.jsonl").read_bytes() == before
    assert Record(tmp_path, {"table": "t"}, resume=True).courses == [course]


@pytest.mark.parametrize("content", ["", "\n", "[", '{"table":'])
def test_an_empty_or_cut_file_is_begun_anew(content: str, tmp_path: Path) -> None:
    (tmp_path / "searches.jsonl").write_text(content)
    assert Record(tmp_path, {"table": "t"}, resume=True).courses == []
    assert json.loads((tmp_path / "searches.jsonl").read_text()) == HEADER


@pytest.mark.parametrize("field", ["strategy", "run", "improvements", "own_seconds"])
def test_a_search_with_a_field_of_another_type_is_damaged(field: str, tmp_path: Path) -> None:
    line = vars(Course("random", 0, 5, ((1.0, 0.5, 0.5),), 0.1)) | {field: {}}
    (tmp_path / "searches.jsonl").write_text(f"{json.dumps(HEADER)}\n{json.dumps(line)}\n")
    with pytest.raises(RunError, match="line 2 is damaged"):
        Record(tmp_path, {"table": "t"}, resume=True)


@pytest.mark.parametrize("other", ["setup.json", "bench.json"])
def test_a_folder_of_another_comparison_is_left_alone(other: str, tmp_path: Path) -> None:
    (tmp_path / other).write_text("{}")
    for resume in (False, True):
        with pytest.raises(ConfigError, match=f"holds another comparison \\({other}\\)"):
            Record(tmp_path, {"table": "t"}, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == [other]


def test_searches_of_strategies_that_meant_something_else_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    old = '{"table": "t"}\n' + json.dumps(vars(Course("reinforce", 0, 5, ((1.0, 0.5, 0.5),), 0.1))) + "\n"
    (tmp_path / "searches.jsonl").write_text(old)
    with pytest.raises(ConfigError, match="name another folder"):
        Record(tmp_path, {"table": "t"}, resume=True)
    assert (tmp_path / "searches.jsonl").read_text() == old


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path / "bench"), pytest.raises(RunError, match="is in use by process"):
        alone(tmp_path / "bench").__enter__()
    with alone(tmp_path / "bench"):
        pass
