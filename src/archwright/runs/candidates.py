"""The networks that a run trains from scratch: the ones found (`found-0`...) and the random ones (`random-0`...)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from archwright.errors import ChildFailure, RunError
from archwright.loop import CHECKPOINT_SECONDS, Progress
from archwright.runs.events import Event, Message
from archwright.runs.timing import child_network
from archwright.space import Architecture, sample
from archwright.training.accuracy import evaluate_accuracy
from archwright.training.descent import saved_network
from archwright.training.fit import Fit
from archwright.training.measure import multiply_adds, parameters

if TYPE_CHECKING:
    from archwright.data.images import ImageData
    from archwright.nets.network import Network
    from archwright.runs.plan import Plan
    from archwright.store import RunStore

RANDOM = 7  # the random stream of the random candidates


class Candidates:
    """Trains, keeps and tests candidates. The record of one is `candidate/KEY`, its test `test/KEY`, in the store."""

    def __init__(self, plan: Plan, data: ImageData, store: RunStore) -> None:
        self.plan, self.data, self.store = plan, data, store
        self._saved = time.monotonic()

    def random(self, index: int) -> Architecture:
        """The random architecture of that number."""
        return sample(self.plan.space, (self.plan.seed, RANDOM, index))

    def train(
        self, key: str, architecture: Architecture, phase: str, part: tuple[int, int], saved: Callable[[], None]
    ) -> Iterator[Event]:
        """Train one candidate from where a killed run left it; one that is done already is left alone.

        `part`: it is number i of n in its phase. `saved` is called whenever its state has been written.
        """
        if self.record(key) is not None:
            return
        recipe = replace(self.plan.final_recipe, epochs=self.store.get("settled")["epochs"])
        network = child_network(self.plan, self.data, architecture)
        fit = Fit(network, self.data, recipe, seed=self.plan.seed, device=self.plan.device, phase=phase)
        begun = self.store.restore("training")
        if begun is not None and begun["key"] == key:
            fit.load_state_dict(begun["fit"])
        record: dict[str, Any] = {"architecture": architecture.to_json(), "error": None}
        last: dict[str, float] = {}
        number, of = part
        try:
            for progress in fit:
                last |= progress.metrics
                steps = progress.steps
                yield Progress(phase, number * steps + progress.step, of * steps, progress.metrics)
                if time.monotonic() - self._saved > CHECKPOINT_SECONDS / 4:
                    self.store.save("training", {"key": key, "fit": fit.state_dict()})
                    self._saved = time.monotonic()
                    saved()
        except ChildFailure as error:
            record["error"] = f"{type(error).__name__}: {error}"
            yield Message(f"{architecture.id} could not be trained: {record['error']}")
        else:
            record |= {
                "validation_accuracy": fit.validation_accuracy,
                "validation_loss": last.get("validation_loss", 0.0),
                "seconds": fit.seconds,
                "parameters": parameters(_delivered(network)),
                "multiply_adds": multiply_adds(network, self.data.task),
            }
            self.store.save(f"weights-{key}", {"model": saved_network(network)})
            yield Message(f"{architecture.id}: {fit.validation_accuracy:.2%} of validation images, {fit.seconds:.0f} s")
        self.store.put(f"candidate/{key}", record)
        self.store.forget("training")

    def test(self, key: str) -> None:
        """Use the test part for one candidate, once."""
        if self.store.get(f"test/{key}") is None:
            score = evaluate_accuracy(
                self.network(key), self.data.test, self.data.preprocessing, device=self.plan.device
            )
            bits = "".join("1" if right else "0" for right in score.correct.tolist())
            self.store.put(f"test/{key}", {"accuracy": score.accuracy, "correct": bits})

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
        """The one with the highest validation accuracy, then the lowest validation loss."""

        def rank(key: str) -> tuple[float, float]:
            record = self.record(key)
            assert record is not None
            return record["validation_accuracy"], -record["validation_loss"]

        return max(keys, key=rank)

    def network(self, key: str) -> Network:
        """A trained candidate, in evaluation mode on the plan's device."""
        record, state = self.record(key), self.store.restore(f"weights-{key}")
        if record is None or state is None:
            raise RunError(f"{self.store.folder}: the weights of {key} are missing")
        network = _delivered(child_network(self.plan, self.data, Architecture.from_json(record["architecture"])))
        network.load_state_dict(state["model"])
        return network.to(torch.device(self.plan.device)).eval()


def _delivered(network: Network) -> Network:
    """The network without what is for training only."""
    if getattr(network, "auxiliary", None) is not None:
        network.auxiliary = None  # type: ignore[assignment]
    return network
