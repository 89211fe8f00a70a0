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

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.clock import Clock
    from archwright.runs.plan import Plan
    from archwright.space import Architecture
    from archwright.store import RunStore


class Trainings:
    """Implements `evaluators.race.Trainings` in a run folder.

    How many steps a whole training has is settled when it begins, from a rate that is measured once: a run that is
    killed goes on to the same end.
    """

    def __init__(self, plan: Plan, modality: Modality, store: RunStore, clock: Clock) -> None:
        self.plan, self.modality, self.store, self.clock = plan, modality, store, clock

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
        fit = Fit(
            network_of(self.plan, self.modality, architecture),
            self.modality,
            recipe,
            seed=self.plan.seed,
            device=self.plan.device,
            validate_last=1,
            phase=phase,
        )
        if (kept := self.store.restore(state_name(architecture))) is not None:
            fit.load_state_dict(kept)
        return fit

    def advance(self, fit: Fit, architecture: Architecture, share: float) -> Iterator[Progress]:
        saved, curve = time.monotonic(), Curve(self.store, architecture.id, fit)
        for progress in fit.until(min(fit.steps, math.ceil(share * fit.steps))):
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


def state_name(architecture: Architecture) -> str:
    """Return the name of the state of a training in the store."""
    return f"training-{architecture.id}"
