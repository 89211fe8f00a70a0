"""`archwright doctor` names what is slow, and why."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from archwright.__main__ import main
from archwright.cli import machine
from archwright.cli.machine import Check, convolutions, judged


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "SECONDS", 0.0)
    monkeypatch.setattr(machine, "convolutions", lambda: convolutions(0.01))


@pytest.mark.usefixtures("quick")
def test_a_machine_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads()
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"]["torch"] == str(torch.__version__)
    names = [check["name"] for check in facts["checks"]]
    machines = ["threads", "load", "memory", "GPU", "instructions", "kernels", "malloc"]
    assert names == [*machines, "disk", "extras", "convolutions"]
    assert facts["slow"] == [check["name"] for check in facts["checks"] if check["advice"]]
    assert all(speed > 0 for kind in facts["convolutions"].values() for speed in kind.values())
    assert torch.get_num_threads() == before
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[2:].split()[0] for line in lines[1:11]] == names
    assert list(Path().iterdir()) == []  # what was written to time the disk is gone


@pytest.mark.usefixtures("quick")
def test_what_is_slow_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(machine.os, "getloadavg", lambda: (7.0, 1.0, 1.0))
    monkeypatch.setattr(machine, "usable_cores", lambda: 2.0)
    monkeypatch.setattr(machine.threads, "available", lambda: 5)
    monkeypatch.setattr(machine, "usable_memory", lambda: 10**9)
    monkeypatch.setattr(machine, "_cpu_flags", set)
    monkeypatch.setattr(machine.native, "found", lambda: (None, "no C compiler"))
    monkeypatch.setattr(machine, "tune_malloc", lambda: False)
    monkeypatch.setattr(machine, "_written", lambda *_: 0.5)
    monkeypatch.setattr(machine, "convolutions", lambda: {"float32": {1: 50.0, 2: 51.0}})
    assert main(["doctor", "--json"]) == 0
    slow = json.loads(capsys.readouterr().out)["slow"]
    wanted = {"threads", "load", "memory", "kernels", "disk", "convolutions"}
    wanted |= {"instructions", "malloc"} if sys.platform == "linux" and not torch.cuda.is_available() else set()
    assert set(slow) == wanted


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="of Linux")
def test_a_containers_quota_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    for text, cores in (("150000 100000", 1.5), ("max 100000", 4), ("900000 100000", 4), ("", 4)):
        (tmp_path / "cpu.max").write_text(text)
        assert machine.usable_cores() == cores


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = machine._disk(tmp_path / "file")
    assert "cannot be written" in found.found
    assert "--run" in found.advice


def test_threads_that_help_are_no_complaint() -> None:
    assert judged({"float32": {1: 50.0, 2: 90.0}}).advice == ""
    assert judged({"float32": {1: 50.0}}) == Check(
        "convolutions", "billions of operations a second, by threads: float32 50 with 1"
    )
