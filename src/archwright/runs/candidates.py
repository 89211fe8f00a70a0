"""The networks that a run trains from scratch: `found-0`..., `random-0`..., and a reference, `reference-0`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from archwright.errors import ChildFailure, RunError
from archwright.loop import CHECKPOINT_SECONDS, Progress
from archwright.nets.network import without_auxiliary
from archwright.runs.events import Event, Message
from archwright.runs.networks import network_of
from archwright.space import Architecture, sample
from archwright.training.fit import Fit
from archwright.training.measure import parameters
from archwright.training.placement import saved_network

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.plan import Plan
    from archwright.store import RunStore
    from archwright.training.recipe import Recipe

RANDOM = 7  # the random stream of the random candidates


class Candidates:
    """Trains, keeps and tests candidates. The record of one is `candidate/KEY`, its test `test/KEY`, in the store."""

    def __init__(self, plan: Plan, modality: Modality, store: RunStore) -> None:
        self.plan, self.modality, self.store = plan, modality, store
        self._saved = time.monotonic()

    def random(self, index: int) -> Architecture:
        """The random architecture of that number, of the space as deep as the search saw it last."""
        return sample(self.plan.search.grown, (self.plan.seed, RANDOM, index))

    def train(
        self,
        key: str,
        architecture: Architecture | None,
        phase: str,
        part: tuple[int, int],
        saved: Callable[[], None],
        *,
        recipe: Recipe,
        keep: bool = True,
    ) -> Iterator[Event]:
        """Train one candidate from where a killed run left it; one that is done already is left alone.

        No `architecture`: the space's reference network. `part`: it is number i of n in its phase. `saved` is called
        whenever its state has been written. `keep` the weights, or only the record.
        """
        if self.record(key) is not None:
            return
        network = network_of(self.plan, self.modality, architecture)
        fit = Fit(network, self.modality, recipe, seed=self.plan.seed, device=self.plan.device, phase=phase)
        begun = self.store.restore("training")
        if begun is not None and begun["key"] == key:
            fit.load_state_dict(begun["fit"])
        written = None if architecture is None else architecture.to_json()
        record: dict[str, Any] = {"architecture": written, "error": None}
        name = "the reference network" if architecture is None else architecture.id
        last: dict[str, float] = {}
        number, of = part
        try:
            for progress in fit:
                last |= progress.metrics
                steps = progress.steps
                yield Progress(phase, number * steps + progress.step, of * steps, progress.metrics)
                if fit.ends_epoch or time.monotonic() - self._saved > CHECKPOINT_SECONDS / 4:
                    self.store.save("training", {"key": key, "fit": fit.state_dict()})
                    self._saved = time.monotonic()
                    saved()
        except ChildFailure as error:
            record["error"] = f"{type(error).__name__}: {error}"
            yield Message(f"{name} could not be trained: {record['error']}")
        else:
            record |= {
                fit.scored_by: fit.score,
                "validation_loss": last.get("validation_loss", 0.0),
                "seconds": fit.seconds,
                "parameters": parameters(without_auxiliary(network)),
                **self.modality.size(network),
            }
            if keep:
                self.store.save(f"weights-{key}", {"model": saved_network(network)})
            yield Message(f"{name}: {self.modality.validated(record)}, {fit.seconds:.0f} s")
        self.store.put(f"candidate/{key}", record)
        self.store.forget("training")

    def test(self, key: str) -> None:
        """Use the test part for one candidate, once."""
        if self.store.get(f"test/{key}") is None:
            self.store.put(f"test/{key}", self._tested(key))

    def _tested(self, key: str) -> dict[str, Any]:
        return self.modality.test(self.network(key), self.plan.final.recipe, self.plan.device)

    def record(self, key: str) -> dict[str, Any] | None:
        """What is known of a candidate; None before it is trained."""
        record: dict[str, Any] | None = self.store.get(f"candidate/{key}")
        return record

    def trained(self, kind: str) -> list[str]:
        """The keys of those that could be trained, in order."""
        keys, index = [], 0
        while (record := self.record(f"{kind}-{index}")) is not None:
            if record["error"] is None:
                keys.append(f"{kind}-{index}")
            index += 1
        return keys

    def best(self, keys: Sequence[str]) -> str:
        """The one that did best in validation."""

        def rank(key: str) -> tuple[float, float]:
            record = self.record(key)
            assert record is not None
            return self.modality.sort_key(record)

        return max(keys, key=rank)

    def network(self, key: str) -> Any:
        """A trained candidate, in evaluation mode on the plan's device."""
        record, state = self.record(key), self.store.restore(f"weights-{key}")
        if record is None or state is None:
            raise RunError(f"{self.store.folder}: the weights of {key} are missing")
        written = record["architecture"]
        architecture = None if written is None else Architecture.from_json(written)
        network = without_auxiliary(network_of(self.plan, self.modality, architecture))
        network.load_state_dict(state["model"])
        return network.to(torch.device(self.plan.device)).eval()
