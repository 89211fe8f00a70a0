"""`archwright` alone says in four lines what to do next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archwright.__main__ import main
from archwright.store import RunStore


def alone(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "archwright --help" in lines[3]
    return lines


def test_what_to_do_next_depends_on_the_newest_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "archwright search" in alone(capsys)[1]
    folders = [tmp_path / "runs" / name for name in ("ended", "under\nway", "damaged")]
    with RunStore(folders[0], create=True) as store:
        store.put("result", {"summary": ["test accuracy    97.20 %"]})
    assert alone(capsys)[0] == "runs/ended has ended: test accuracy 97.20 %."
    with RunStore(folders[1], create=True) as store:
        store.put("plan", {})
    os.utime(folders[1] / "run.sqlite", (2e9, 2e9))
    first, second, *_ = alone(capsys)
    assert first == "runs/under\\nway has not ended."
    assert "archwright resume runs/under" in second
    folders[2].mkdir()
    (folders[2] / "run.sqlite").write_bytes(b"no database")
    os.utime(folders[2] / "run.sqlite", (3e9, 3e9))
    assert "cannot be read" in alone(capsys)[0]
