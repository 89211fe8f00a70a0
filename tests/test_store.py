from __future__ import annotations

import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archwright.errors import RunError
from archwright.loop import Proposal, Result, Trial
from archwright.space import sample
from archwright.store import RunStore
from archwright.testing import StoreContract
from archwright.testing.small_spaces import Chain
from archwright.testing.stores import proposal, trial


class TestRunStore(StoreContract):
    def make(self, folder: Path) -> RunStore:
        return RunStore(folder, create=not folder.exists())


def same(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other is not None and math.isnan(one) and math.isnan(other))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def store(folder):
    with RunStore(folder, create=True) as store:
        yield store


numbers = st.floats()
results = st.builds(Result, numbers, st.dictionaries(st.text(), numbers, max_size=3), st.none() | st.text())
surrogates = st.text(st.characters(categories=["Cs", "Lu"]))  # as in the name of a file that is not UTF-8


@settings(max_examples=25)
@given(st.lists(st.tuples(results, st.none() | numbers), min_size=1, max_size=5), surrogates)
def test_every_number_and_text_can_be_recorded(rows, surrogate):
    with tempfile.TemporaryDirectory() as folder:
        with RunStore(folder, create=True) as store:
            proposals = [proposal(number, log_prob) for number, (_, log_prob) in enumerate(rows)]
            store.proposed(list(enumerate(proposals)), 9)
            trials = [Trial(n, proposals[n], result, 0.1) for n, (result, _) in enumerate(rows)]
            store.told(trials, None)
            store.proposed([(9, proposal(9))], 10)
            store.told([trial(9, error=f"no {surrogate}")], None)
        with RunStore.reading(folder) as store:
            *back, odd = store.trials()
        assert odd.result.error.startswith("no ")
        for one, other in zip(trials, back, strict=True):
            assert (one.number, one.architecture, one.result.error) == (
                other.number,
                other.architecture,
                other.result.error,
            )
            assert same(one.reward, other.reward)
            assert same(one.proposal.log_prob, other.proposal.log_prob)
            assert one.result.metrics.keys() == other.result.metrics.keys()
            assert all(same(one.result.metrics[name], other.result.metrics[name]) for name in one.result.metrics)


def test_an_architecture_is_stored_once_and_as_json(store, folder):
    store.proposed([(number, Proposal(number, sample(Chain(), number % 3))) for number in range(12)], 12)
    store.close()
    with sqlite3.connect(folder / "run.sqlite") as connection:
        rows = connection.execute("SELECT id, json FROM architectures").fetchall()
    connection.close()
    expected = {sample(Chain(), number).id: sample(Chain(), number).to_json() for number in range(3)}
    assert {name: json.loads(text) for name, text in rows} == expected


def test_a_new_run_has_nothing_recorded(store):
    assert (list(store.trials()), store.get("plan"), store.restore("net")) == ([], None, None)


def test_a_result_without_a_proposal_is_an_error_that_names_it(store):
    with pytest.raises(RunError, match="trial 0 was reported"):
        store.told([trial(0)], None)


def test_facts_are_json(store, folder):
    store.put("plan", {"epochs": [1, 2.5], "name": "ü", "nan": math.inf})
    store.put("plan", {"epochs": 3})
    store.put("chosen", None)
    store.close()
    with RunStore.reading(folder) as again:
        assert again.get("plan") == {"epochs": 3}
        assert again.get("chosen", 5) is None
        assert again.get("missing", 5) == 5


def test_trials_are_synced_once_a_second_and_facts_and_states_always(store, monkeypatch):
    now, statements = [1000.0], []
    monkeypatch.setattr("archwright.store.time.monotonic", lambda: now[0])
    store._database.connection.set_trace_callback(statements.append)

    def synced(record, *values):
        statements.clear()
        record(*values)
        return "PRAGMA synchronous = FULL" in statements

    def trial_synced(number):
        store.proposed([(number, proposal(number))], number + 1)
        return synced(store.told, [trial(number)], None)

    assert synced(store.put, "plan", 1)
    assert not trial_synced(0)
    now[0] += 0.9
    assert not trial_synced(1)
    assert synced(store.save, "net", {})
    now[0] += 0.9
    assert not trial_synced(2)
    now[0] += 5  # a trial that took long
    assert synced(store.proposed, [(3, proposal(3))], 4)
    now[0] += 5
    assert synced(store.told, [trial(3)], None)
    assert synced(store.forget, "net")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").glob("*"))


def test_a_big_state_is_one_file_that_is_replaced_and_forgotten(store, folder):
    for value in (1, 2, 2):
        store.save("net.2", {"value": value})
        store.save("net", {"other": value})
        assert len(files(folder)) == 2
    assert store.restore("net.2") == {"value": 2}
    store.forget("net.2")
    store.forget("net.2")
    assert store.restore("net.2") is None
    assert store.restore("net") == {"other": 2}
    assert len(files(folder)) == 1


def test_what_a_kill_left_half_way_is_removed_and_nothing_else(store, folder):
    store.save("net", {"value": 1})
    (kept,) = files(folder)
    store.close()
    orphan = f"net-{'0' * 16}.safetensors"
    for name in (orphan, f"{kept}.tmp", "notes.txt", "mine.safetensors"):
        (folder / "checkpoints" / name).write_bytes(b"x")
    with RunStore(folder) as again:
        assert files(folder) == sorted([kept, "notes.txt", "mine.safetensors"])
        assert again.restore("net") == {"value": 1}


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_harmed_state_file_is_a_run_error(store, folder, harm):
    store.checkpoint({"weights": np.arange(10)}, 0, {})
    path = folder / "checkpoints" / files(folder)[0]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.unlink() if harm == "remove" else path.write_bytes(data if harm == "flip" else data[:-8])
    with pytest.raises(RunError, match=r"evaluator-[0-9a-f]+\.safetensors is (damaged|missing)"):
        store.load()


@pytest.mark.parametrize("name", ["../out", "a/b", "", "ü", "x" * 200])
def test_a_state_with_a_name_that_is_no_file_name_is_refused(store, name):
    with pytest.raises(RunError, match="is not a name"):
        store.save(name, {})


def test_only_what_exists_is_opened_and_only_what_does_not_is_created(folder, tmp_path):
    with pytest.raises(RunError, match=r"run is not a run folder: there is no run\.sqlite"):
        RunStore(folder)
    with pytest.raises(RunError, match="is not a run folder"):
        RunStore.reading(folder)
    assert not folder.exists()
    with RunStore(folder, create=True) as store:
        store.put("plan", 1)
    with pytest.raises(RunError, match="already holds a run"):
        RunStore(folder, create=True)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file: File exists"):
        RunStore(tmp_path / "file", create=True)


def test_a_run_that_was_killed_while_it_was_created_can_be_created(folder):
    folder.mkdir()
    (folder / "run.sqlite").touch()
    with pytest.raises(RunError, match="holds no run yet"):
        RunStore(folder)
    RunStore(folder, create=True).close()
    RunStore(folder).close()
    RunStore(folder, create=True).close()  # killed before anything was recorded
    RunStore(folder, create=None).close()


def test_a_run_is_begun_where_it_is_missing_and_gone_on_with_where_it_is_not(folder):
    for count in (0, 1):
        with RunStore(folder, create=None) as store:
            assert len(list(store.trials())) == count
            store.proposed([(count, proposal(count))], count + 1)
            store.told([trial(count)], None)
    with pytest.raises(RunError, match="already holds a run"):
        RunStore(folder, create=True)


HOLD = """
import sys, time
from archwright.store import RunStore
store = RunStore(sys.argv[1])
store.put("held", True)
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_told_who_writes_and_a_kill_releases_the_run(store, folder):
    store.close()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        said = rf"run is in use by process {holder.pid} since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d$"
        with pytest.raises(RunError, match=said):
            RunStore(folder)
        with RunStore.reading(folder) as reader:
            assert reader.get("held") is True
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with RunStore(folder) as again:
        assert again.get("held") is True


def test_a_holder_on_another_machine_is_named_with_it(store, folder):
    (folder / "lock").write_text('{"pid": 7, "host": "elsewhere", "since": "2025-01-01 00:00:00"}')
    with pytest.raises(RunError, match="in use by process 7 on elsewhere since 2025-01-01 00:00:00"):
        RunStore(folder)
    assert socket.gethostname() != "elsewhere"


def test_readers_see_what_is_written_and_cannot_write(store, folder):
    with RunStore.reading(folder) as reader:
        for number in range(3):
            store.proposed([(number, proposal(number))], number + 1)
            store.told([trial(number)], None)
            store.save("net", {"number": number})
            assert len(list(reader.trials())) == number + 1
            assert reader.restore("net") == {"number": number}
        for write in (
            lambda: reader.put("a", 1),
            lambda: reader.proposed([(9, proposal(9))], 10),
            lambda: reader.save("net", {}),
            lambda: reader.forget("net"),
        ):
            with pytest.raises(RunError, match=r"readonly|for reading"):
                write()
        assert store.restore("net") == {"number": 2}


def test_a_closed_run_is_one_file_and_looking_at_it_leaves_no_trace(store, folder):
    store.put("a", 1)
    store.close()
    before = sorted(path.name for path in folder.iterdir())
    assert before == ["lock", "run.sqlite"]
    with RunStore.reading(folder) as reader:
        assert reader.get("a") == 1
        assert sorted(path.name for path in folder.iterdir()) == before


def edit(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "run.sqlite")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def read_all(folder: Path | str) -> None:
    with RunStore(folder) as store:
        store.load()
        store.get("plan")


@pytest.fixture
def full(store, folder):
    store.proposed([(0, proposal(0)), (1, proposal(1))], 2)
    store.told([trial(0)], {"weights": np.arange(300)})
    store.checkpoint({"step": 1}, 2, {"loss": 1.5})
    store.put("plan", [1])
    store.close()
    return folder


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("PRAGMA user_version = 99", "has format 99; this version of archwright reads up to 3"),
        ("DROP TABLE facts", "was not written by archwright"),
        ("CREATE TRIGGER t AFTER INSERT ON facts BEGIN DELETE FROM trials; END", "was not written by archwright"),
        ("UPDATE states SET name = '../../victim'", "is not a name and hash"),
        ("UPDATE states SET sha256 = '/etc/passwd'", "is not a name and hash"),
        ("UPDATE trials SET metrics = '[' WHERE number = 0", "trial 0 is damaged"),
        ("UPDATE trials SET reward = NULL WHERE number = 0", "trial 0 is damaged"),
        ("UPDATE trials SET architecture = 'none'", "trial 1 is damaged"),
        ("UPDATE architectures SET json = '{}'", "trial 1 is damaged"),
        ("UPDATE architectures SET json = '[[[['", "trial 1 is damaged"),
        ("UPDATE trials SET stream = 'x' WHERE number = 1", "trial 1 is damaged"),
        ("UPDATE position SET streams = 'x'", "stream position is damaged"),
        ("UPDATE controller SET state = x'0001'", "controller's state is damaged"),
        ("UPDATE controller SET state = 'text'", "controller's state is damaged"),
        ("UPDATE facts SET value = 'x' WHERE key = 'plan'", "the entry 'plan' is damaged"),
        ("UPDATE facts SET value = '[2]' WHERE key = 'plan'", "'plan' is damaged .it is not what was recorded"),
        ("UPDATE facts SET value = '{}'", "'checkpoint figures' is damaged .it is not what was recorded"),
        ("DELETE FROM digests WHERE name = 'fact/plan'", "'plan' is damaged .it is not what was recorded"),
        ("UPDATE trials SET reward = 0.25 WHERE number = 0", "trial 0 is damaged .it is not what was recorded"),
        ("UPDATE trials SET seconds = 99.0 WHERE number = 0", "trial 0 is damaged .it is not what was recorded"),
        ("INSERT OR REPLACE INTO figures VALUES (0, '{}')", "trial 0 is damaged .it is not what was recorded"),
        ("UPDATE trials SET stream = 7 WHERE number = 1", "trial 1 is damaged .it is not what was recorded"),
        ("UPDATE digests SET digest = 'x'", "trial 1 is damaged .it is not what was recorded"),
    ],
)
def test_a_file_that_was_tampered_with_is_a_run_error(full, statement, said):
    edit(full, statement)
    with pytest.raises(RunError, match=said):
        read_all(full)


def test_another_programs_file_is_a_run_error(folder):
    folder.mkdir()
    (folder / "run.sqlite").write_bytes(b"not a database" * 100)
    for opened in (RunStore, RunStore.reading):
        with pytest.raises(RunError, match="file is not a database"):
            opened(folder)


def test_a_link_in_the_place_of_the_lock_is_not_followed(full, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    (full / "lock").unlink()
    (full / "lock").symlink_to(precious)
    with pytest.raises(RunError, match="lock"):
        RunStore(full)
    assert precious.read_text() == "keep"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_database_is_a_run_error_or_not_noticed(full, data):
    original = (full / "run.sqlite").read_bytes()
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 40))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(full, copy, dirs_exist_ok=True)
        Path(copy, "run.sqlite").write_bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
        said = ""
        try:
            read_all(copy)
        except RunError as error:
            said = str(error)
        assert "\n" not in said


def test_digests_survive_every_kind_of_value(store, folder):
    """What SQLite gives back of a number or a text is what its digest was taken of."""
    store.proposed([(n, proposal(n)) for n in range(4)], 4)
    rewards = (-0.0, 1e300, math.inf, 3.0)
    store.told([replace(trial(n), result=Result(r, {"a": r}), seconds=r) for n, r in enumerate(rewards)], None)
    store.put_all({"\u00e4": float("nan"), "x": None})
    store.close()
    with RunStore.reading(folder) as read:
        assert [found.reward for found in read.trials()] == list(rewards)
        assert read.get("x", 3) is None


def test_a_file_of_the_second_version_is_read_and_gets_its_digests_from_the_next_writer(full):
    edit(full, "DROP TABLE digests", "PRAGMA user_version = 2")
    with RunStore.reading(full) as read:
        assert (read.get("plan"), len(list(read.trials()))) == ([1], 1)
    read_all(full)  # opens it for writing
    edit(full, "UPDATE facts SET value = '[2]'")
    with pytest.raises(RunError, match="not what was recorded"):
        read_all(full)


def test_a_run_that_was_killed_is_read_where_nothing_can_be_written(store, folder, tmp_path, monkeypatch):
    store.proposed([(0, proposal(0))], 1)
    store.told([trial(0)], None)
    store.put("plan", [1])
    shutil.copytree(folder, tmp_path / "copy")  # with what only the log has, as a kill leaves it
    assert (tmp_path / "copy" / "run.sqlite-wal").stat().st_size
    before = {path: path.read_bytes() for path in (tmp_path / "copy").iterdir() if path.is_file()}
    monkeypatch.setattr("os.access", lambda *_: False)
    with RunStore.reading(tmp_path / "copy") as read:
        assert (read.get("plan"), len(list(read.trials()))) == ([1], 1)
    assert {path: path.read_bytes() for path in (tmp_path / "copy").iterdir() if path.is_file()} == before


def test_a_disk_that_is_full_is_a_run_error_and_what_was_recorded_stays(store, folder):
    store.put("plan", [1])
    with store._database.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(RunError, match=r"run\.sqlite: database or disk is full"):
        store.put("large", "x" * 1_000_000)
    store.close()
    with RunStore.reading(folder) as reader:
        assert (reader.get("plan"), reader.get("large")) == ([1], None)
