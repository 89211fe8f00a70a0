"""The networks that a run trains from scratch: `found-0`..., `random-0`..., and a reference, `reference-0`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from archwright.errors import ChildFailure, RunError
from archwright.loop import CHECKPOINT_SECONDS, Progress
from archwright.nets.network import without_auxiliary
from archwright.runs.assembly import costs_of, network_of, recipe_of
from archwright.runs.costing import TRIED, Exact
from archwright.runs.curves import Curve
from archwright.runs.events import Event, Message
from archwright.runs.grid import changed
from archwright.runs.pace import Pace
from archwright.runs.trainings import Trainings, state_name
from archwright.space import Architecture, sample
from archwright.training.failures import any_failure
from archwright.training.fit import Fit
from archwright.training.inherit import inherit
from archwright.training.measure import parameters
from archwright.training.placement import saved_network

if TYPE_CHECKING:
    from torch import Tensor

    from archwright.modalities.protocol import Modality
    from archwright.runs.clock import Clock
    from archwright.runs.plan import Plan
    from archwright.store import RunStore
    from archwright.training.recipe import Recipe

RANDOM = 7  # the random stream of the random candidates


class Candidates:
    """Trains, keeps and tests candidates. The record of one is `candidate/KEY`, its test `test/KEY`, in the store.

    `clock` accounts for the seconds of a phase whenever the state of a training has been written.
    """

    def __init__(self, plan: Plan, modality: Modality, store: RunStore, clock: Clock) -> None:
        self.plan, self.modality, self.store, self.clock = plan, modality, store, clock
        self.trainings = Trainings(plan, modality, store, clock)
        self._saved = time.monotonic()
        self._costs = costs_of(plan, modality, store)

    def random(self, index: int) -> Architecture:
        """Return the random architecture of that number, of the space as deep as the search saw it last.

        It is within the limits of the search, as the networks that it is compared with.
        """
        space, exact = self.plan.search.grown, Exact(self.plan, self._costs)
        found = first = sample(space, (self.plan.seed, RANDOM, index))
        for number in range(TRIED):
            if exact.admits(found):
                return found
            found = sample(space, (self.plan.seed, RANDOM, index, number))
        return first

    def recipe(self, architecture: Architecture | None, share: float = 1.0) -> Recipe:
        """Return how a network is trained, for a share of the epochs that are settled, or else planned."""
        settled, change = self.store.get("settled") or {}, self.store.get("grid")
        epochs = settled.get("epochs", self.plan.final.recipe.epochs)
        if settled.get("seconds") is not None:
            epochs = self.clock.cost(architecture).epochs_within(settled["seconds"])
        recipe = replace(recipe_of(self.plan, architecture), epochs=epochs * share)
        return recipe if change is None else changed(recipe, change)

    def train(
        self,
        key: str,
        architecture: Architecture | None,
        phase: str,
        part: tuple[int, int],
        *,
        recipe: Recipe | None = None,
        keep: bool = True,
        left: Callable[[], float] | None = None,
        start: Mapping[str, Tensor] | None = None,
    ) -> Iterator[Event]:
        """Train one candidate from where a killed run or the search left it, unless it is trained already.

        No `architecture`: the space's reference network. `part`: it is number i of n in its phase. `keep` the weights,
        or only the record. `left` gives the seconds until it should end, where the clock decides. `start`: weights by
        name that it begins with, where they fit.
        """
        if self.record(key) is not None:
            return
        record: dict[str, Any] = {"architecture": None if architecture is None else architecture.to_json()}
        others: dict[str, Any] = {}
        name = "the reference network" if architecture is None else architecture.id
        number, of = part
        pace: Pace | None = None
        try:
            with any_failure():
                fit = self._fit(architecture, recipe, phase)
                if start is not None:
                    yield Message(f"{name} starts from the shared weights: {inherit(fit.model, start):.0%} of its own")
            begun = self.store.restore("training")
            # A state that version 0.1 left at the end, without a record, has no validation loss: that is done again.
            if begun is not None and begun["key"] == key and not _lacks_metrics(begun["fit"]):
                fit.load_state_dict(begun["fit"])
            pace = self._pace(fit, architecture, left)
            curve = Curve(self.store, "reference" if architecture is None else architecture.id, fit) if keep else None
            with any_failure():
                for progress in fit:
                    steps = fit.steps
                    if pace is not None:
                        pace.stepped()
                        if pace.step_seconds is not None and recipe is None:
                            self.clock.measured(architecture, pace.step_seconds)
                    if curve is not None:
                        curve.see(progress, ends_epoch=fit.ends_epoch)
                    yield Progress(phase, number * steps + progress.step, of * steps, progress.metrics)
                    if fit.ends_epoch or time.monotonic() - self._saved > CHECKPOINT_SECONDS / 4:
                        if curve is not None:
                            curve.save(fit)
                        self.store.save("training", {"key": key, "fit": fit.state_dict()})
                        self._saved = time.monotonic()
                        self.clock.account(phase)
        except ChildFailure as error:
            record["error"] = f"{type(error).__name__}: {error}"
            yield Message(f"{name} could not be trained: {record['error']}")
        else:
            network = fit.model
            if not fit.metrics:
                raise RunError(f"{self.modality.data.name} has no validation part to judge {name} by")
            record |= {
                "error": None,
                **{metric: fit.metrics[metric] for metric in (fit.scored_by, "validation_loss")},
                "seconds": fit.seconds,
                "epochs": round(fit.steps / fit.per_epoch, 2),
                "parameters": parameters(without_auxiliary(network)),
                **self.modality.size(network),
            }
            if keep:
                self.store.save(f"weights-{key}", {"model": saved_network(network)})
                others = self._in_other_ways(key, record, fit)
            early = ", ended early: validation got worse" if fit.shortened else ""
            yield Message(f"{name}: {self.modality.validated(record)}, {fit.seconds:.0f} s{early}")
        if pace is not None:
            pace.end()
        states = ["training"] if architecture is None else ["training", state_name(architecture)]
        self.store.put_all({f"candidate/{key}": record, **others}, forget=states)

    def _in_other_ways(self, key: str, record: Mapping[str, Any], fit: Fit) -> dict[str, Any]:
        """Return records of a trained candidate in each other way to run it: the same weights, validated again."""
        found = {}
        for way in self.plan.final.other_ways if record["architecture"] is not None else ():
            made = {**record, "way": way, "of": key}
            network = self._untrained(made)
            network.load_state_dict(fit.model.state_dict())
            looked = fit.validate(network.to(torch.device(self.plan.device)))
            size = self.modality.size(network)
            found[f"candidate/{key}-{way}"] = {
                **made,
                **{name: looked[name] for name in looked if name in made},
                **size,
            }
        return found

    def _pace(self, fit: Fit, architecture: Architecture | None, left: Callable[[], float] | None) -> Pace | None:
        if left is None:
            return None
        return Pace(fit, left, threads=self.plan.threads, look=self.clock.cost(architecture, self.plan).validation)

    def seconds(self, architecture: Architecture | None) -> float:
        """Return what the rest of a training is expected to take."""
        settled = self.store.get("settled") or {}
        if architecture is not None and self.trainings.begun(architecture):
            return self.trainings.seconds(architecture)
        if settled.get("seconds") is not None:
            return float(settled["seconds"])
        return self.clock.cost(architecture).of(settled.get("epochs", self.plan.final.recipe.epochs))

    def _fit(self, architecture: Architecture | None, recipe: Recipe | None, phase: str) -> Fit:
        """Return the training that the search has begun, or a new one."""
        if architecture is not None and recipe is None and self.trainings.begun(architecture):
            return self.trainings.begin(architecture, phase)
        network, recipe = network_of(self.plan, self.modality, architecture), recipe or self.recipe(architecture)
        return Fit(network, self.modality, recipe, seed=self.plan.seed, device=self.plan.device, phase=phase)

    def test(self, key: str, part: str = "test") -> Mapping[str, Any]:
        """Use the test part, or the validation part, for one candidate, once; return what is recorded."""
        if self.store.get(f"{part}/{key}") is None:
            tested = self.modality.test(self.network(key), self.plan.final.recipe, self.plan.device, part=part)
            self.store.put(f"{part}/{key}", tested)
        recorded: Mapping[str, Any] = self.store.get(f"{part}/{key}")
        return recorded

    def record(self, key: str) -> Any:
        """Return what is known of a candidate; None before it is trained."""
        return self.store.get(f"candidate/{key}")

    def trained(self, kind: str, way: str | None = None) -> list[str]:
        """Return the keys of those that could be trained, in order; where they can be run in this `way`, so."""
        keys, index = [], 0
        while (record := self.record(f"{kind}-{index}")) is not None:
            if record["error"] is None:
                key = f"{kind}-{index}"
                keys.append(key if way is None or self.record(f"{key}-{way}") is None else f"{key}-{way}")
            index += 1
        return keys

    def offered(self, kind: str) -> list[str]:
        """Return the keys of those that could be trained, in each way to run them that is within the limits."""
        found = []
        for key in self.trained(kind):
            others = (f"{key}-{way}" for way in self.plan.final.other_ways)
            found += [key, *(other for other in others if self.record(other) is not None and self._admitted(other))]
        return found

    def _admitted(self, key: str) -> bool:
        aims = self.plan.search.aims
        try:
            aims.admit(self.costs(key))
        except ChildFailure:
            return False
        return True

    def costs(self, key: str) -> dict[str, float]:
        """Return what a trained candidate costs, as far as the aims read it; measured once."""
        record, names = self.record(key), self.plan.search.aims.costs
        if record["architecture"] is not None and record.get("way") is None:
            return self._costs.of(Architecture.from_json(record["architecture"]), names)
        stored: dict[str, float] | None = self.store.get(f"cost/{key}")
        if stored is None:
            stored = self._costs.measured(self.network(key).cpu(), names)
            self.store.put(f"cost/{key}", stored)
        return stored

    def best(self, keys: Sequence[str]) -> str:
        """Return the key of the one that did best in validation."""
        return max(keys, key=lambda key: self.modality.sort_key(self.record(key)))

    def network(self, key: str) -> Any:
        """Return a trained candidate, in evaluation mode on the plan's device."""
        record = self.record(key)
        state = None if record is None else self.store.restore(f"weights-{record.get('of', key)}")
        if state is None:
            raise RunError(f"{self.store.folder}: the weights of {key} are missing")
        network = self._untrained(record)
        network.load_state_dict(state["model"])
        return network.to(torch.device(self.plan.device)).eval()

    def space(self, record: Mapping[str, Any]) -> Any:
        """Return the space of a candidate's network, with how it is run."""
        space = self.plan.final.space
        return replace(space, **space.ways[record["way"]]) if "way" in record else space

    def _untrained(self, record: Mapping[str, Any]) -> Any:
        written, final = record["architecture"], replace(self.plan.final, space=self.space(record))
        architecture = None if written is None else Architecture.from_json(written)
        return without_auxiliary(network_of(replace(self.plan, final=final), self.modality, architecture))


def _lacks_metrics(state: Any) -> bool:
    return "metrics" not in state and state["step"] == state["steps"]
