"""Compares strategies on real training: every child from scratch, every result recorded, so that it can be stopped.

All strategies of run r have the same seed, for the controller and for the children, so they score the same architecture
the same; a child that one of them has trained is not trained again for another. Each search is a run folder of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archwright.components import space_class
from archwright.errors import ConfigError, RunError
from archwright.evaluators.from_scratch import FromScratch
from archwright.files import inside, sweep, write
from archwright.lab.contest import Course, Timed, best_so_far
from archwright.lab.record import SETUP, JsonLines, refuse_others
from archwright.lab.strategies import Strategy
from archwright.loop import Proposal, Result, Stateless, Trial, Trials, run
from archwright.modalities import MODALITIES, modality
from archwright.runs import assembly
from archwright.runs.plan import Plan
from archwright.runs.planner import UserSettings
from archwright.runs.preparation import prepare as prepare_run
from archwright.runs.rates import pin_threads
from archwright.store import RunStore
from archwright.stored import load
from archwright.training.measure import tune_process

if TYPE_CHECKING:
    from archwright.modalities.protocol import Data

CHILDREN = "children.jsonl"
METRIC = "accuracy"  # of everything that is compared


@dataclass(frozen=True)
class Setup:
    """A comparison: the plan of one search, the number of searches of each strategy, and their folder."""

    plan: Plan
    data: Data
    strategies: Sequence[Strategy]
    runs: int
    folder: Path
    seed: int = 0  # of run 0; run r has this plus r, for its controllers and for its children

    @property
    def seconds(self) -> float:
        """Duration of all of it from the start, estimated; children that two strategies share are counted twice."""
        trials = self.plan.search.trials
        return len(self.strategies) * self.runs * (trials + 1) * self.plan.budget.estimate["search"] / trials

    def begin(self) -> None:
        """Make the folder, or see that it is this comparison's. More strategies or runs may be asked of it."""
        path, plan = self.folder / SETUP, self.plan.to_json()  # written first, it makes its own space known to be read
        self.folder.mkdir(parents=True, exist_ok=True)
        refuse_others(self.folder, SETUP)
        sweep(self.folder)
        if not path.exists():
            write(path, json.dumps(plan, indent=1).encode())
            return
        held = Plan.from_json(load(path))
        ours, theirs = (_settled(json.loads(json.dumps(each))) for each in (plan, held.to_json()))
        if differing := sorted(name for name in ours if ours[name] != theirs.get(name)):
            name = differing[0]
            found = f"its {name.split('.')[-1]} is {theirs.get(name)}, here it is {ours[name]}"
            raise ConfigError(f"{self.folder} holds another comparison: {found}; name another folder with --out")


def _settled(plan: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the settings of a plan that all its strategies share, by their path."""
    found: dict[str, Any] = {}
    for name, value in plan.items():
        if name not in ("budget", "seed", "controller", "controller_settings"):
            found |= _settled(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def prepare(
    data: str, strategies: Sequence[Strategy], *, space: str, trials: int, seed: int, epochs: float, limit: int | None
) -> tuple[Plan, Data]:
    """Load the data, plan one search as `archwright search` would, and measure how long a child takes.

    Raises ConfigError for a strategy that cannot be made: it would be met hours later.
    """
    user = UserSettings(
        space=space,
        controller="random",
        search_recipe={"epochs": epochs},
        settings={"evaluator": "from-scratch", "trials": trials, "baseline": False, "reference": False},
    )
    cls = space_class(space)
    if MODALITIES[cls.data].metric != METRIC:
        raise ConfigError(f"bench compares classifiers of images only, and {space} is for {cls.data}")
    for strategy in strategies:
        strategy.make(cls(), seed, trials=trials)
    prepared = prepare_run(data, user=user, data_options={} if limit is None else {"limit": limit})
    return prepared.plan, prepared.data


class _Remembered(Stateless):
    """An evaluator that scores a child as `FromScratch` does, and once: later it is looked up in the file `path`."""

    def __init__(self, evaluator: FromScratch, path: Path, seed: int) -> None:
        self._evaluator, self._seed = evaluator, seed
        self._lines = JsonLines(path, keys=("seed", "architecture", "reward", "metrics"))
        self._known = {(entry["seed"], entry["architecture"]): entry for entry in self._lines.read()}
        self.trials_per_epoch = evaluator.trials_per_epoch

    def evaluate(self, proposal: Proposal) -> Result:
        key = (self._seed, proposal.architecture.id)
        if key not in self._known:
            result = self._evaluator.evaluate(proposal)
            entry = {"seed": key[0], "architecture": key[1], "reward": result.reward, "metrics": dict(result.metrics)}
            self._known[key] = entry
            self._lines.append(entry)
        return Result(float(self._known[key]["reward"]), dict(self._known[key]["metrics"]))


@dataclass(frozen=True)
class Searched:
    """A finished search. `test` is the test accuracy, in per cent, of its best child, trained once more."""

    course: Course
    test: float


def compare(setup: Setup) -> Iterator[Trial | Searched]:
    """Go on with the comparison, run by run; yield every trial, and every search that is finished."""
    tune_process()
    pin_threads(setup.plan)
    setup.begin()
    for number in range(setup.runs):
        for strategy in setup.strategies:
            yield from _search(setup, strategy, number)


def _search(setup: Setup, strategy: Strategy, number: int) -> Iterator[Trial | Searched]:
    seed = setup.seed + number
    plan = replace(setup.plan, seed=seed)
    evaluator: FromScratch = assembly.evaluator(plan, modality(setup.data))
    name = "".join(c if c.isalnum() or c in "-_.=" else "-" for c in strategy.label)
    folder = inside(setup.folder, f"{name}-{seed}")
    with RunStore(folder, create=None) as store:
        controller = Timed(strategy.make(plan.search.space, seed, trials=plan.search.trials))
        remembered = _Remembered(evaluator, setup.folder / CHILDREN, seed)
        for event in run(controller, remembered, budget=Trials(plan.search.trials), store=store):
            if isinstance(event, Trial):
                yield event
        if store.get("own seconds") is None:
            store.put("own seconds", controller.seconds)
        trials = list(store.trials())
        best = best_so_far(enumerate(trials, start=1))
        if not best:
            raise RunError("no child of this search could be trained")
        if store.get("test") is None:
            network = evaluator.trained(best[-1][1].architecture).model  # again exactly as in the search
            store.put("test", modality(setup.data).test(network, plan.search.recipe, plan.device)[METRIC])
        improvements = tuple(
            (used, t.reward, 100 * t.result.metrics.get("validation_accuracy", t.reward)) for used, t in best
        )
        course = Course(strategy.label, number, len(trials), improvements, store.get("own seconds"))
        yield Searched(course, 100 * store.get("test"))
