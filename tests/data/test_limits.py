"""Memory is what the machine, the container and the limits of the process leave."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from PIL import Image

from archwright.cli.commands import dispatch
from archwright.data import limits
from archwright.errors import DataError


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> int:
    """A process that may have 10 MB of data."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (10**7, resource.RLIM_INFINITY))
    return 10**7


def test_the_least_limit_counts(limited: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.usable_memory() == limited
    (tmp_path / "memory.max").write_text("9000\n")
    monkeypatch.setattr(limits, "CGROUP", tmp_path / "memory.max")
    assert limits.usable_memory() == 9000
    limits.require_room(9000, "x", "less")
    with pytest.raises(DataError, match=r"x would take .* can be had; less"):
        limits.require_room(9001, "x", "less")


@pytest.mark.parametrize("content", ["max\n", "", "x"])
def test_a_container_without_a_limit_has_the_machines(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CGROUP", tmp_path / "none")
    machine = limits.usable_memory()
    (tmp_path / "memory.max").write_text(content)
    monkeypatch.setattr(limits, "CGROUP", tmp_path / "memory.max")
    assert limits.usable_memory() == machine > 10**7


@pytest.mark.usefixtures("limited")
def test_large_images_under_a_limit_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By their headers: nothing is decoded."""
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            Image.new("1", (3000, 3000), number % 2).save(tmp_path / label / f"{number}.png")
    assert dispatch("check", [str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "6 images of 3000x3000 would take" in line
