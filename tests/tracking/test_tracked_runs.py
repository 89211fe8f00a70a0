"""Trackers get what the display gets; one that fails or hangs is a warning, and a resumed run goes on where it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from archwright.errors import ConfigError, MissingExtra, RunError
from archwright.loop import Progress, Proposal, Result, Trial
from archwright.runs.events import Message
from archwright.runs.plan import Plan
from archwright.runs.planner import UserSettings, make_plan
from archwright.space import sample
from archwright.store import RunStore
from archwright.tracking import following, trackers
from archwright.tracking.following import Following
from archwright.tracking.protocol import TrackedRun
from small_images import noise_data


class Kept:
    """A tracker that keeps what it is given, in tracked runs by their ids."""

    where = "here"
    runs: dict[str, list[Any]] = {}

    def __init__(self, fails: str = "") -> None:
        self._fails = fails

    def _take(self, what: str, *values: Any) -> None:
        if what == self._fails:
            raise OSError("no\nroute")
        self.runs[self._id].append((what, *values))

    def begin(self, run: TrackedRun, known: str | None) -> str:
        self._id = known or f"{run.name}-{len(self.runs)}"
        self.runs.setdefault(self._id, [])
        self._take("begin", run.settings["search.space.name"])
        return self._id

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._take("metrics", dict(values), step)

    def trial(self, trial: Trial) -> None:
        self._take("trial", trial.number)

    def artefacts(self, run: TrackedRun) -> None:
        self._take("artefacts", [path.name for path in run.files(".json")])

    def end(self, state: str) -> None:
        self._take("end", state)


@pytest.fixture(autouse=True)
def empty() -> None:
    Kept.runs = {}


@pytest.fixture
def plan() -> Plan:
    user = UserSettings(space="nas-conv", space_fields={"layers": 1, "first_layers": 1}, settings={"trials": 4})
    return make_plan(noise_data(), user, data_name="photos", data_options={}, device="cpu", timed=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    with RunStore(tmp_path / "run", create=True) as opened:
        yield opened


def trial(store: RunStore, plan: Plan, number: int) -> Trial:
    """A trial that has been recorded."""
    proposal = Proposal(number, sample(plan.search.space, number))
    store.proposed([(number, proposal)], number + 1)
    found = Trial(number, proposal, Result(0.5, {"validation_accuracy": 0.5}), 1.0, {"entropy": 2.0})
    store.told([found], None)
    return found


def followed(
    plan: Plan, store: RunStore, events: list[Any], *, end: BaseException | None = None, **by: Any
) -> list[str]:
    """Follow events, and trials by number, end as a run does, and return what was said."""
    said: list[Message] = []
    try:
        with Following(by, plan, store, said.append) as follow:
            for event in events:
                follow(trial(store, plan, event) if isinstance(event, int) else event)
            if end is not None:
                raise end
            follow.finished({"test_accuracy": 0.9, "data": "photos", "gain": float("nan")})
    except (KeyboardInterrupt, ValueError):
        pass
    return [message.text for message in said]


def kinds(id: str) -> list[str]:
    return [what for what, *_ in Kept.runs[id]]


def test_a_tracker_gets_parameters_metrics_trials_and_the_end(plan: Plan, store: RunStore) -> None:
    (store.folder / "result.json").write_text("{}")
    (store.folder / "link.json").symlink_to("/etc/passwd")
    events = [Progress("shared weights", 3, 10, {"loss": 2.0, "epoch": 2.0}), 0]
    assert followed(plan, store, events, mine=Kept()) == ["mine: tracked in here"]
    assert Kept.runs["run-0"] == [
        ("begin", "nas-conv"),
        ("metrics", {"shared weights/loss": 2.0, "shared weights/epoch": 2.0}, 13),
        (
            "metrics",
            {"trial/reward": 0.5, "trial/seconds": 1.0, "trial/validation_accuracy": 0.5, "figures/entropy": 2.0},
            0,
        ),
        ("trial", 0),
        ("metrics", {"result/test_accuracy": 0.9}, 0),
        ("artefacts", ["result.json"]),
        ("end", "finished"),
    ]


def test_a_resumed_run_goes_on_and_makes_up_for_what_was_lost(plan: Plan, store: RunStore) -> None:
    followed(plan, store, [0], end=KeyboardInterrupt(), mine=Kept())
    trial(store, plan, 1)  # recorded, and killed before the tracker had it
    assert followed(plan, store, [], end=ValueError()) == ["tracked before by mine: --track mine goes on there"]
    followed(plan, store, [2], mine=Kept())
    assert [*Kept.runs] == ["run-0"]
    assert [values[0] for what, *values in Kept.runs["run-0"] if what == "trial"] == [0, 1, 2]
    assert [values[0] for what, *values in Kept.runs["run-0"] if what == "end"] == ["stopped", "finished"]


@pytest.mark.parametrize("fails", ["begin", "metrics", "trial", "artefacts", "end"])
def test_a_tracker_that_fails_is_a_warning_and_the_others_go_on(fails: str, plan: Plan, store: RunStore) -> None:
    said = followed(plan, store, [0], bad=Kept(fails), good=Kept())
    assert "warning: bad failed and gets nothing more: OSError: no route; the run itself goes on" in said
    good = next(id for id in Kept.runs if "end" in kinds(id))
    assert kinds(good) == ["begin", "metrics", "trial", "metrics", "artefacts", "end"]


def test_a_tracker_that_hangs_costs_patience_once(plan: Plan, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", 0.05)
    free = threading.Event()

    class Hanging(Kept):
        def begin(self, run: TrackedRun, known: str | None) -> str:
            free.wait(10)
            return super().begin(run, known)

    said = followed(plan, store, [0], slow=Hanging())
    assert "warning: slow has not answered for 0 s" in said[-1]
    free.set()


def test_a_record_that_makes_no_sense_is_an_error(plan: Plan, store: RunStore) -> None:
    store.put("tracked", {"mlflow": 3})
    with pytest.raises(RunError, match="what trackers have is damaged"):
        Following({}, plan, store, lambda message: None)


def test_progress_is_thinned(plan: Plan, store: RunStore) -> None:
    events = [Progress("final training", step, 50, {"loss": 1.0}) for step in range(1, 51)]
    followed(plan, store, events, mine=Kept())
    steps = [step for what, *values in Kept.runs["run-0"] if what == "metrics" for _, step in [values]]
    assert steps == [1, 50, 0]


def test_names_of_trackers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert trackers(None) == trackers("") == {}
    with pytest.raises(ConfigError, match=r"'mlfow'; did you mean mlflow\? There are mlflow, .*or file.py:Name"):
        trackers("mlfow")
    monkeypatch.setattr("archwright.tracking.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'archwright\[wandb\]'"):
        trackers("wandb")
    with pytest.raises(RunError, match="only if you type it"):
        trackers(f"{tmp_path}/evil.py:X")
