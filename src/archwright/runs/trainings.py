"""Trainings that the search of a run begins and that go on later, each kept in the run folder where it stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.errors import ChildFailure
from archwright.loop import CHECKPOINT_SECONDS, Progress
from archwright.methods.cost import steps
from archwright.runs.assembly import network_of, recipe_of
from archwright.runs.curves import Curve
from archwright.training.failures import any_failure
from archwright.training.fit import Fit
from archwright.training.inherit import Held, held_by, in_common, inherit_alike
from archwright.training.placement import saved_network

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.clock import Clock
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.store import RunStore


ENOUGH = 0.5  # of a network's numbers, that it can inherit: with less it learns as others do


class Trainings:
    """Implements `evaluators.race.Trainings` in a run folder.

    How many steps a whole training has is settled when it begins, from a rate that is measured once: a run that is
    killed goes on to the same end.
    """

    def __init__(self, plan: Plan, modality: Modality, store: RunStore, clock: Clock) -> None:
        self.plan, self.modality, self.store, self.clock = plan, modality, store, clock
        self._lent: dict[str, Held] = {}  # of trials, by the id of their architectures

    def begun(self, architecture: Architecture) -> bool:
        """Return whether the training has begun."""
        return self.store.get(f"steps/{architecture.id}") is not None

    def steps(self, architecture: Architecture) -> int:
        """Return the steps of the whole training, settled now if they are not; `ChildFailure` if they do not fit."""
        key = f"steps/{architecture.id}"
        settled: int | None = self.store.get(key)
        if settled is None:
            self._admit(architecture)
            recipe = recipe_of(self.plan, architecture)
            per_epoch, method = steps(recipe, self.modality), self.plan.search.method
            settled = method.steps(
                architecture, recipe, per_epoch, lambda: self.clock.cost(architecture).training / per_epoch
            )
            self.store.put(key, settled)
        return settled

    def _admit(self, architecture: Architecture) -> None:
        method = self.plan.search.method
        known = method.known(self.plan.search).values()
        if known and architecture not in known:
            works: list[float] | None = self.store.get("known work")
            if works is None:
                works = [self._work(one) for one in known]
                self.store.put("known work", works)
            method.admit(self._work(architecture), works)

    def _work(self, architecture: Architecture) -> float:
        return float(self.modality.size(network_of(self.plan, self.modality, architecture))["multiply_adds"])

    def share(self, architecture: Architecture) -> float:
        """Return how much of the whole training is done."""
        kept = self.store.restore(state_name(architecture))
        return 0.0 if kept is None else float(kept["step"]) / self.steps(architecture)

    def seconds(self, architecture: Architecture) -> float:
        """Return what the rest of the training is expected to take."""
        per_epoch = steps(recipe_of(self.plan, architecture), self.modality)
        passes = (1 - self.share(architecture)) * self.steps(architecture) / per_epoch
        return self.clock.cost(architecture).of(passes)

    def begin(self, architecture: Architecture, phase: str = "training") -> Fit:
        recipe = recipe_of(self.plan, architecture)
        recipe = replace(recipe, epochs=self.steps(architecture) / steps(recipe, self.modality))
        network, kept = network_of(self.plan, self.modality, architecture), self.store.restore(state_name(architecture))
        heir = kept is None and self._inherits(architecture, network)
        fit = Fit(
            network,
            self.modality,
            recipe,
            seed=self.plan.seed,
            device=self.plan.device,
            validate_last=1,
            phase=phase,
        )
        if kept is not None:
            fit.load_state_dict(kept)
        elif heir:
            fit.step = steps_of(fit, self.plan.search.method.lent)
        return fit

    def _inherits(self, architecture: Architecture, network: Any) -> bool:
        """Give a new network what it has in common with one that was lent before; return whether that is enough.

        It goes on from the step at which they were lent, so all networks are compared after as much training, their
        own or inherited. Known networks inherit nothing.
        """
        method = self.plan.search.method
        if not method.lent or architecture in method.known(self.plan.search).values():
            return False
        ours = held_by(network.state_dict())
        shares = {
            trial.architecture: in_common(ours, theirs)
            for trial in self.store.trials()
            if (theirs := self._held(trial.architecture))
        }
        nearest = max(shares, key=lambda one: shares[one], default=architecture)
        if shares.get(nearest, 0.0) < ENOUGH or (lent := self.store.restore(lent_name(nearest))) is None:
            return False
        inherit_alike(network, lent["model"])
        self.store.put(f"heir/{architecture.id}", [nearest.id, round(shares[nearest], 4)])
        return True

    def _held(self, architecture: Architecture) -> Held:
        """Return what a network has lent, if it has."""
        if architecture.id not in self._lent:
            lent = self.store.restore(lent_name(architecture))
            self._lent[architecture.id] = () if lent is None else held_by(lent["model"])
        return self._lent[architecture.id]

    def lend(self, fit: Fit, architecture: Architecture, share: float) -> Iterator[Progress]:
        if self.store.get(f"heir/{architecture.id}") is None and fit.step <= steps_of(fit, share):
            yield from self.advance(fit, architecture, share)
            self.store.save(lent_name(architecture), {"model": saved_network(fit.model)})

    def advance(self, fit: Fit, architecture: Architecture, share: float) -> Iterator[Progress]:
        saved, curve = time.monotonic(), Curve(self.store, architecture.id, fit)
        for progress in fit.until(steps_of(fit, share)):
            curve.see(progress, ends_epoch=fit.ends_epoch)
            yield progress
            if time.monotonic() - saved > CHECKPOINT_SECONDS / 4:
                curve.save(fit)
                self.store.save(state_name(architecture), fit.state_dict())
                saved = time.monotonic()
        curve.save(fit)
        self.store.save(state_name(architecture), fit.state_dict())

    def heat(self, architecture: Architecture, share: float, part: tuple[int, int]) -> Iterator[Progress]:
        """Train on until `share` of the training is done, and record the validation; a failure is recorded, too."""
        key, (number, of) = f"heat/{architecture.id}/{share:.6f}", part
        if self.store.get(key) is not None:
            return
        self.store.forget(lent_name(architecture))  # the search is over
        record: dict[str, Any] = {"error": None}
        try:
            with any_failure():
                fit = self.begin(architecture)
                for progress in self.advance(fit, architecture, share):
                    done = progress.step / max(1.0, share * progress.steps)
                    yield Progress("derive", round(100 * (number + min(done, 1.0))), 100 * of, progress.metrics)
                with fit.averaged() as network:
                    record |= self.modality.test(network, fit.recipe, self.plan.device, part="validation")
        except ChildFailure as error:
            record["error"] = f"{type(error).__name__}: {error}"
        self.store.put(key, record)

    def result(self, architecture: Architecture, share: float) -> Mapping[str, Any]:
        """Return what `heat` recorded."""
        found: Mapping[str, Any] = self.store.get(f"heat/{architecture.id}/{share:.6f}", {"error": "not trained"})
        return found

    def forget(self, architectures: Iterable[Architecture]) -> None:
        """Delete the states of trainings that do not go on."""
        for architecture in architectures:
            self.store.forget(state_name(architecture))
            self.store.forget(lent_name(architecture))


def state_name(architecture: Architecture) -> str:
    """Return the name of the state of a training in the store."""
    return f"training-{architecture.id}"


def lent_name(architecture: Architecture) -> str:
    """Return the name of the weights that a network has lent, in the store."""
    return f"lent-{architecture.id}"


def steps_of(fit: Fit, share: float) -> int:
    """Return the steps that are a share of a whole training."""
    return min(fit.steps, math.ceil(share * fit.steps))
