"""The comparison of killed runs can fail: what a kill may lose, repeat or leave is found."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archwright.loop import Proposal, Result, Trial
from archwright.space import sample
from archwright.store import RunStore
from archwright.testing.small_spaces import Chain

WORK = """
import json, pathlib, subprocess, sys, tempfile, time
path = pathlib.Path("run", "lines.jsonl")
path.parent.mkdir(exist_ok=True)
done = len(path.read_text().splitlines()) if path.exists() else 0
for number in range(done if "goes-on" in sys.argv else 0, 20):
    with path.open("a") as file:
        file.write(json.dumps({"number": number}) + chr(10))
    time.sleep(0.02)
if "leaves" in sys.argv:
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    tempfile.mkstemp()
"""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with a run of two trials, a state, weights and a result."""
    folder = tmp_path / "here" / "run"
    proposals = [Proposal(number, sample(Chain(), number)) for number in range(2)]
    with RunStore(folder, create=True) as store:
        store.proposed(list(enumerate(proposals)), 2)
        trials = [Trial(n, p, Result(0.5, {"seconds": 2.0}), 1.0, {"loss": 1.5}) for n, p in enumerate(proposals)]
        store.told(trials, {"weights": [1.0]})
        store.save("training", {"step": 3, "seconds": 1.0})
        store.put_all({"seconds": {"search": 9.0}, "result": {"accuracy": 0.9}})
    (folder / "result.json").write_text('{"accuracy": 0.9}')
    (folder / "report.md").write_text("# Report\n\n## Seconds\n\n| search | 9.0 |\n\n![search](search.png)\n")
    (folder / "weights.safetensors").write_bytes(b"weights")
    return tmp_path / "here"


def with_store(change: Callable[[RunStore], object]) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        with RunStore(folder) as store:
            change(store)

    return harm


def lose_a_trial(folder: Path) -> None:
    with sqlite3.connect(folder / "run.sqlite") as connection:
        connection.execute("DELETE FROM trials WHERE number = 1")
    connection.close()


def proposal() -> Proposal:
    return Proposal(2, sample(Chain(), 2))


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a lost trial": (lose_a_trial, "missing: run/run.sqlite: trial 1"),
    "a pending proposal": (with_store(lambda s: s.proposed([(2, proposal())], 3)), "proposals without an answer"),
    "another state": (with_store(lambda s: s.save("training", {"step": 4, "seconds": 1.0})), "state training step"),
    "a state that stays": (with_store(lambda s: s.save("other", {})), "too much: run/run.sqlite: state other"),
    "another fact": (with_store(lambda s: s.put("result", {"accuracy": 0.8})), "fact result accuracy"),
    "a result that is another": (lambda folder: (folder / "result.json").write_text("{}"), "is the recorded result"),
    "a missing report": (lambda folder: (folder / "report.md").unlink(), "missing: run/report.md"),
    "other weights": (lambda folder: (folder / "weights.safetensors").write_bytes(b"weightz"), "b'weightz'"),
    "an unfinished file": (lambda folder: (folder / "cell.png.0.tmp").touch(), "too much: run/cell.png.0.tmp"),
    "an unrecorded checkpoint": (
        lambda folder: (folder / "checkpoints" / "a-0.safetensors").touch(),
        "run.sqlite: checkpoints",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_difference_is_found(harm: str, script: Callable[[str], Any], run: Path) -> None:
    folder, (do, said) = script("kills_folder"), HARMS[harm]
    before = folder.held(run)
    do(run / "run")
    assert any(said in line for line in folder.differences(before, folder.held(run)))


def test_times_are_no_difference(script: Callable[[str], Any], run: Path) -> None:
    folder = script("kills_folder")
    shutil.copytree(run, run.with_name("slow"))
    slow = run.with_name("slow") / "run"
    with RunStore(slow) as store:
        store.put("seconds", {"search": 10.0})
        store.save("training", {"step": 3, "seconds": 2.0})
    (slow / "report.md").write_text((slow / "report.md").read_text().replace("9.0", "10.0"))
    assert folder.differences(folder.held(run), folder.held(slow.parent)) == []


def ended(script: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[Any]:
    """Run cases of a job of our own until three have been killed, and one that was not."""
    kills, jobs = script("kills"), script("kills_jobs")
    monkeypatch.setattr(script("kills_case"), "PATIENCE", 0.5)
    (tmp_path / "work.py").write_text(WORK)
    job = jobs.Job("own", words, resume=None, says=False, program=(sys.executable, str(tmp_path / "work.py")))
    bench = kills.Bench(tmp_path / "work", 0)
    records = [bench.case(job, 0)]
    number = 0
    while sum(kill["phase"] == "comparison" for record in records for kill in record["kills"]) < 3:
        number += 1
        records.append(bench.case(job, number))
    return records


def test_a_job_that_goes_on_ends_as_one_that_was_not_killed(
    script: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = ended(script, tmp_path, monkeypatch, "goes-on")
    assert {record["end"] for record in records} == {"equal"}
    assert records[0]["kills"] == []


def test_what_a_killed_job_repeats_or_leaves_is_found(
    script: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, *records = ended(script, tmp_path, monkeypatch, "leaves")
    assert [line.partition(" is left")[0] for line in whole["differences"]] == ["a process", "a temporary file"]
    assert any("lines.jsonl" in line for record in records for line in record["differences"])
    out = tmp_path / "kills.jsonl"
    out.write_text("".join(json.dumps(record) + "\n" for record in records))
    script("kills").main(["--table", "--out", str(out)])
    said = capsys.readouterr().out
    assert '--case "own:1" --seed 0' in said
    assert "comparison" in said


def test_a_seed_fixes_the_moments(script: Callable[[str], Any], tmp_path: Path) -> None:
    case, job = script("kills_case").Case, script("kills_jobs").JOBS[0]
    drawn = [
        case(job, number, seed, tmp_path / "case", None).random.random()
        for number, seed in ((1, 0), (1, 0), (2, 0), (1, 1))
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
