"""What a page shows of a run folder, read from its record alone: finished, under way, failed or damaged."""

from __future__ import annotations

import time
from array import array
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from pathlib import Path
from typing import Any

from archwright.errors import ArchwrightError
from archwright.files import holder
from archwright.loop import Trial
from archwright.modalities import MODALITIES
from archwright.runs.plan import upgraded, wanted_phases
from archwright.space import Architecture
from archwright.store import Outcome, RunStore
from archwright.stored import SENSELESS, reading

SHOWN, LATEST = 12, 30  # best trials, and failed or waiting ones, that are listed
FIGURES = 2000  # trials whose figures are drawn, at most
FACTS = (
    "begun",
    "result",
    "shown",
    "seconds",
    "estimate",
    "progress",
    "warnings",
    "failure",
    "versions",
    "typed",
    "front",
)


@dataclass(frozen=True)
class Status:
    """How a run is. `kind` is one of finished, running, failed, stopped, damaged; `words` say more."""

    kind: str
    words: str


@dataclass
class Trials:
    """The trials of a run as columns of numbers: there may be many thousands."""

    rewards: array[float] = field(default_factory=lambda: array("d"))  # NaN of a failed trial
    figures: Mapping[str, tuple[array[float], array[float]]] = field(default_factory=dict)  # by name: trials and values
    best: list[Trial] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)  # the latest ones
    failures: int = 0
    waiting: list[tuple[int, str, float]] = field(default_factory=list)  # number, architecture, seconds so far

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass
class RunRecord:
    """A run as its folder has it; `facts` are those of the store by name, None where they are missing."""

    folder: Path
    name: str
    status: Status
    facts: dict[str, Any]
    plan: Mapping[str, Any]
    trials: Trials
    curves: Mapping[str, Any]
    candidates: Mapping[str, Any]  # what is recorded of the networks trained from scratch, by key
    best: Architecture | None = None
    holder: Mapping[str, Any] | None = None

    @property
    def result(self) -> Mapping[str, Any]:
        return self.facts.get("result") or {}

    @property
    def test(self) -> str:
        """The test of the network delivered, in words; nothing before it."""
        return tested(self.result)


def tested(result: Mapping[str, Any]) -> str:
    """Return the test metric of a result in words."""
    shown = (
        kind.shown.format(result[f"test_{kind.metric}"])
        for kind in MODALITIES.values()
        if f"test_{kind.metric}" in result
    )
    return next(shown, "")


def read(folder: Path) -> RunRecord:
    """Read a run folder. What is damaged is a record that says so, not an error; RunError if there is no run."""
    store = RunStore.reading(folder)
    name = folder.resolve().name
    with store:
        try:
            with reading(folder):
                return _read(store, name)
        except ArchwrightError as error:
            return RunRecord(folder, name, Status("damaged", str(error)), {}, {}, Trials(), {}, {})


def _read(store: RunStore, name: str) -> RunRecord:
    facts = {fact: store.get(fact) for fact in FACTS}
    stored = store.get("plan")
    plan = {} if stored is None else upgraded(stored)
    held = holder(store.folder)
    trials = _trials(store)
    curves, candidates = store.facts("curve/"), store.facts("candidate/")
    ranked = store.get("ranked")
    best = Architecture.from_json(ranked[0][0]) if ranked else trials.best[0].architecture if trials.best else None
    if (delivered := store.get("delivered", store.get("found"))) is not None:
        best = Architecture.from_json(candidates[delivered]["architecture"])
    status = status_of(store, plan, facts["result"], facts["failure"], held)
    return RunRecord(store.folder, name, status, facts, plan, trials, curves, candidates, best, held)


def status_of(store: RunStore, plan: Mapping[str, Any], result: Any, failure: Any, held: Any) -> Status:
    """Return how a run is, by what it has recorded and who holds its folder."""
    if result:
        return Status("finished", "finished")
    if store.get("begun") is None and not plan:
        return Status("running", "planning") if held else Status("stopped", "stopped before it began")
    phases = wanted_phases(plan["final"]) if plan else ["search"]  # dishes have no plan of a network
    waiting = [phase for phase in phases if not store.get(f"done/{phase}")]
    phase = f"in {waiting[0]}" if waiting else "to be reported"
    if held:
        return Status("running", phase)
    return Status("failed", f"{phase}: {failure}") if failure else Status("stopped", phase)


def _trials(store: RunStore) -> Trials:
    trials = Trials()
    figures: dict[str, tuple[array[float], array[float]]] = defaultdict(lambda: (array("d"), array("d")))

    def outcomes() -> Any:
        for place, outcome in enumerate(store.outcomes(figures_of=FIGURES)):
            failed = outcome.error is not None
            trials.rewards.append(float("nan") if failed else outcome.reward)
            for name, value in outcome.figures.items():
                figures[name][0].append(place + 1)
                figures[name][1].append(value)
            if failed:
                trials.failures += 1
                trials.failed = [*trials.failed[1 - LATEST :], outcome]
            elif outcome.reward == outcome.reward:
                yield outcome.reward, -place

    best = nlargest(SHOWN, outcomes())
    trials.figures = dict(figures)
    trials.best = [next(store.trials(-place, 1 - place)) for _, place in best]
    now = time.time()
    trials.waiting = [(number, name, max(0.0, now - when)) for number, name, when in store.pending()[:LATEST]]
    return trials


def row(folder: Path) -> dict[str, Any]:
    """Return a run in a line: run, begun, data, state and its kind, space, trials, test. No error hides other runs."""
    found: dict[str, Any] = {"run": str(folder), "begun": "", "data": "", "state": "", "trials": "", "test": ""}
    found |= {"kind": "damaged", "space": ""}
    try:
        with RunStore.reading(folder) as store:
            result, stored, failure = store.get("result"), store.get("plan"), store.get("failure")
            plan = {} if stored is None else upgraded(stored)
            status = status_of(store, plan, result, failure, None if result else holder(folder))
            found |= {"state": status.words, "kind": status.kind}
            if status.words == "stopped before it began":
                return found
            data = plan["data"]["name"] if plan else store.get("data")
            found |= {"begun": store.get("begun") or "", "data": data or "", "trials": store.told_count}
            found |= {"space": str(plan["search"]["space"]["name"]) if plan else "", "test": tested(result or {})}
    except ArchwrightError as error:
        found |= {"state": f"unreadable: {error}"}
    except SENSELESS as error:
        found |= {"state": f"damaged: {error!r}"}
    return found
