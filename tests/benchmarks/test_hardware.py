"""The comparison of files: which network is as accurate and faster, which as fast and more accurate."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from archwright.costs.latency import median_interval


def file(name: str, right: int, count: int = 100) -> dict[str, Any]:
    """A network that has the first `right` of so many test images right."""
    bits = "1" + "1" * right + "0" * (count - right)
    return {"name": name, "file": f"{name}.onnx", "accuracy": right / count, "correct": f"{int(bits, 2):x}", "bytes": 9}


def records(seed: int, *, fast: float = 2.0) -> list[dict[str, Any]]:
    facts = {"data": "d", "minutes": 10.0, "seed": seed, "commit": "abc", "seconds": 600.0, "others": 0.1}
    files = {"front": [file("small", 80), file("wide", 86)], "resnet9-16": [file("resnet9-16", 85)]}
    times = {"small.onnx": 0.5, "wide.onnx": 2 / fast, "resnet9-16.onnx": 2.0}
    ratios = {a: {b: [x / y, 0.9 * x / y, 1.1 * x / y] for b, y in times.items()} for a, x in times.items()}
    middle = {name: [value, value, value] for name, value in times.items()}
    own = [{**facts, "contestant": name, "files": found} for name, found in files.items()]
    return [*own, {**facts, "contestant": "latencies", "milliseconds": middle, "ratios": ratios, "rounds": 9}]


def test_networks_are_compared_at_equal_accuracy_and_at_equal_latency(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The wide one has one image more right in half the time; the small one is faster and less accurate."""
    script("hardware_table").show(records(0))
    out = capsys.readouterr().out
    assert "beside resnet9-16 (front), at equal accuracy 2.00 times faster (1.80 to 2.20): wide, +1.00 points" in out
    assert "beside resnet9-16 (front), at equal latency +1.00 points" in out
    script("hardware_table").show([*records(0), *records(1, fast=8.0)])
    out = capsys.readouterr().out
    assert "2 seeds, beside resnet9-16 (front): 4.00 times faster" in out  # the geometric mean of 2 and 8


def test_what_is_not_as_accurate_or_as_fast_is_said(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = records(0, fast=0.5)
    found[0]["files"] = [file("wide", 84)]
    script("hardware_table").show(found)
    out = capsys.readouterr().out
    assert "none is as accurate; the best, wide, -1.00 points" in out
    assert "none is as fast" in out


def test_contestants_are_commands(script: Any, tmp_path: Path) -> None:
    hardware = script("hardware")
    case = hardware.Case("d.npz", 10.0)
    command = hardware.FilesRun(case, "front --finalists 2", 3, kept=tmp_path).command("d.npz", tmp_path)
    assert command[:3] == [sys.executable, "-m", "archwright"]
    assert command[command.index("--pareto") + 1] == "accuracy,latency_ms"
    assert command[-2:] == ["--finalists", "2"]
    assert command[command.index("--target.runtime") + 1] == "onnx"
    within = hardware.FilesRun(case, "within resnet9-16", 3, kept=tmp_path, limit=0.75)
    assert "latency_ms=0.75" in within.command("d.npz", tmp_path)
    assert within.rival == "resnet9-16"
    by_hand = hardware.FilesRun(case, "resnet9-16", 3, kept=tmp_path).command("d.npz", tmp_path)
    assert by_hand[-2:] == ["--onnx", str(tmp_path / "by-hand.onnx")]


def test_a_file_is_tested_and_timed_as_it_is(script: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    files, by_hand = script("hardware_files"), script("by_hand")
    data = files.load("digits", seed=0)
    by_hand.write(by_hand.resnet9(1, 4, 10, 8), data, tmp_path / "4.onnx")
    shutil.copy(tmp_path / "4.onnx", tmp_path / "again.onnx")
    tested = files.tested(tmp_path / "4.onnx", "digits", 0)
    right = files.correct(tested)
    assert len(right) == len(data.test)
    assert sum(right) / len(right) == tested["accuracy"]
    files.ROUNDS = files.OPENINGS = 3
    found = files.latencies(["4.onnx", "again.onnx"], tmp_path)
    assert found["ratios"]["4.onnx"]["4.onnx"] == [1.0, 1.0, 1.0]
    assert 0.7 < found["ratios"]["again.onnx"]["4.onnx"][0] < 1.4
    assert files.milliseconds(tmp_path / "4.onnx") == pytest.approx(found["milliseconds"]["4.onnx"][0], rel=0.6)


def test_the_interval_of_a_median_is_two_of_the_values() -> None:
    """Of 100 values the 40th and the 61st (binomial: 95.6 %), one beside for the normal approximation."""
    low, high = median_interval([float(n) for n in range(100)])
    assert (low, high) == (40.0, 60.0)
    assert not math.isnan(low)
