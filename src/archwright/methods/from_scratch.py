"""From scratch: a trial trains the network of an architecture and scores it in validation (NAS 2017, NASNet 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.errors import ConfigError
from archwright.evaluators.from_scratch import FromScratch
from archwright.loop import Progress
from archwright.methods.cost import Rates
from archwright.methods.protocol import child_cost

if TYPE_CHECKING:
    from archwright.engines.settings import Cluster
    from archwright.loop import Proposal, Saved, Trial
    from archwright.methods.protocol import Search
    from archwright.modalities.protocol import Modality
    from archwright.space import Architecture
    from archwright.training.recipe import Recipe

LEAST_CHILDREN = 40  # of a timed search; their epochs are cut until so many fit


@dataclass(frozen=True)
class FromScratchMethod:
    """Settings of a search that trains every child.

    Args:
        last_epochs: the best of a child's last epochs counts, where the objective asks for the best (NAS: 5).
    """

    name: ClassVar[str] = "from-scratch"
    expensive: ClassVar[bool] = True
    in_one_process: ClassVar[bool] = False
    phrase: ClassVar[str] = ""

    last_epochs: int = 1

    def __post_init__(self) -> None:
        if self.last_epochs < 1:
            raise ConfigError(f"last_epochs is {self.last_epochs}; it must be at least 1")

    @staticmethod
    def sized(
        user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe
    ) -> dict[str, Any]:
        """Train 20 children for a fifth of final training where the preset is for shared weights."""
        if "evaluator" in preset:
            return {}
        changes: dict[str, Any] = {"trials": 20, "shortlist": 1}
        return changes if epochs is not None else {**changes, "epochs": max(1, final.epochs // 5)}

    def check(self, search: Search, finalists: int) -> None:
        """Accept every space: each has children."""

    def evaluator(self, search: Search, modality: Modality, cluster: Cluster, *, seed: int, device: str) -> FromScratch:
        """Return what trains and scores a child."""
        return FromScratch(
            search.space,
            modality.data,
            search.recipe,
            objective=search.reward,
            last_epochs=self.last_epochs,
            seed=seed,
            device="auto" if cluster.child_gpus else device,  # on a cluster: what the child finds where it runs
            time_limit=cluster.time_limit if cluster.in_process else None,  # otherwise the engine keeps it
        )

    def scorer(self, search: Search, modality: Modality, saved: Saved, *, seed: int, device: str) -> Any:
        """Refuse: every score of the search is a training from scratch."""
        raise ConfigError("the search trained every child from scratch; there is nothing to rank")

    def measure(
        self, search: Search, modality: Modality, architectures: Sequence[Architecture], *, seed: int, device: str
    ) -> dict[str, float]:
        """Measure nothing more: a trial costs what a child's steps cost."""
        return {}

    def seconds(
        self, search: Search, modality: Modality, rates: Rates, final: Recipe, workers: int
    ) -> tuple[float, float]:
        """Return what all children take; deriving takes their best."""
        return search.trials * child_cost(search, modality, rates, final).of(search.recipe.epochs) / workers, 0.0

    def derivation(
        self, search: Search, modality: Modality, rates: Rates, seconds: float
    ) -> tuple[dict[str, Any], float]:
        """Change nothing: deriving takes no time."""
        return {}, 0.0

    def fitted(
        self,
        search: Search,
        modality: Modality,
        rates: Rates,
        final: Recipe,
        seconds: float,
        workers: int,
        fixed: Collection[str],
    ) -> tuple[dict[str, Any], float]:
        """Fill the time with children, each trained for as long as leaves room for 40 of them."""
        each = child_cost(search, modality, rates, final)
        epochs = search.recipe.epochs
        if "epochs" not in fixed:
            epochs = min(each.epochs_within(seconds * workers / LEAST_CHILDREN), epochs)
        return {"epochs": epochs, "trials": max(1, int(seconds * workers / each.of(epochs)))}, math.inf

    def ranked(
        self,
        search: Search,
        modality: Modality,
        saved: Saved,
        ask: Callable[[int], Sequence[Proposal]],
        *,
        seed: int,
        device: str,
    ) -> dict[Architecture, float]:
        """Return the architectures of all trials that did not fail, the best reward first."""
        found: dict[Architecture, float] = {}
        for trial in sorted(saved.trials, key=lambda trial: (-trial.reward, trial.number)):
            if trial.result.error is None:
                found.setdefault(trial.architecture, trial.reward)
        return found

    def counted(self, trial: Trial, trials: int) -> Progress:
        """Count the trials."""
        return Progress("search", trial.number + 1, trials)

    def lines(self, search: Search, cluster: Cluster) -> list[str]:
        """Describe the children, and where they are trained."""
        where = "" if cluster.engine == "local" else f" on {cluster.engine}"
        replicas = ""
        if cluster.replicas:
            sums = f", {cluster.accumulate} gradients to an update" if cluster.accumulate > 1 else ""
            replicas = f" in {cluster.replicas} replicas of {cluster.children} children, {cluster.shards} shards{sums}"
        return [
            f"search: {search.trials} children of {search.recipe.epochs:g} epochs, {cluster.workers} at a time{where}; "
            f"{search.controller}{replicas}"
        ]

    def source(self, search: Search) -> str:
        """Count the children."""
        return f"{search.trials} children"
