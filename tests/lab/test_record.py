"""The files of a long comparison: what a kill leaves is read, and later ones are too."""

from __future__ import annotations

from pathlib import Path

import pytest

from archwright.errors import RunError
from archwright.lab.record import JsonLines


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
