"""From scratch: a trial trains the network of an architecture and scores it in validation (NAS 2017, NASNet 2018)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.errors import ConfigError
from archwright.evaluators.from_scratch import FromScratch
from archwright.methods.cost import Rates
from archwright.methods.protocol import ChildrenMethod, Context, Search, Settings
from archwright.space import Architecture

if TYPE_CHECKING:
    from archwright.engines.settings import Cluster
    from archwright.training.recipe import Recipe

LEAST_CHILDREN = 40  # of a timed search; their epochs are cut until so many fit


@dataclass(frozen=True)
class FromScratchMethod(ChildrenMethod):
    """Settings of a search that trains every child.

    Args:
        last_epochs: the best of a child's last epochs counts, where the objective asks for the best (NAS: 5).
        starters: known networks that are proposed first, by name; the user asks for them (`--starters`).
    """

    name: ClassVar[str] = "from-scratch"
    in_one_process: ClassVar[bool] = False

    last_epochs: int = 1
    starters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.last_epochs < 1:
            raise ConfigError(f"last_epochs is {self.last_epochs}; it must be at least 1")

    @staticmethod
    def sized(user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe) -> Settings:
        """Train 20 children for a fifth of final training where the preset is for shared weights."""
        if "evaluator" in preset:
            return {"starters": {}}  # a race's have the sizes for their time
        changes: Settings = {"trials": 20, "shortlist": 1}
        return changes if epochs is not None else {**changes, "epochs": max(1, final.epochs // 5)}

    def known(self, search: Search) -> Mapping[str, Architecture]:
        return {name: Architecture.from_json(data) for name, data in self.starters.items()}

    def limited(self, context: Context, most: int | None = None) -> Settings:
        known = self.known(context.search)
        return {"starters": {name: one.to_json() for name, one in known.items() if context.admits(one)}}

    def evaluator(self, context: Context) -> FromScratch:
        search, cluster = context.search, context.cluster
        return FromScratch(
            search.space,
            context.modality.data,
            search.recipe,
            objective=context.objective,
            last_epochs=self.last_epochs,
            seed=context.seed,
            device="auto" if cluster.child_gpus else context.device,  # on a cluster: what the child finds there
        )

    def seconds(self, context: Context, rates: Rates) -> tuple[float, float]:
        """Return what all children take; deriving takes their best."""
        each = context.child_cost(rates).of(context.search.recipe.epochs)
        return context.search.trials * each / context.cluster.workers, 0.0

    def fitted(self, context: Context, rates: Rates, seconds: float, fixed: Collection[str]) -> tuple[Settings, float]:
        """Fill the time with children, each trained for as long as leaves room for 40 of them."""
        each, epochs = context.child_cost(rates), context.search.recipe.epochs
        work = seconds * context.cluster.workers
        if "epochs" not in fixed:
            epochs = min(each.epochs_within(work / LEAST_CHILDREN), epochs)
        return {"epochs": epochs, "trials": max(1, int(work / each.of(epochs)))}, math.inf

    def line(self, search: Search, cluster: Cluster) -> str:
        where = "" if cluster.engine == "local" else f" on {cluster.engine}"
        replicas = ""
        if cluster.replicas:
            sums = f", {cluster.accumulate} gradients to an update" if cluster.accumulate > 1 else ""
            replicas = f" in {cluster.replicas} replicas of {cluster.children} children, {cluster.shards} shards{sums}"
        epochs = f"{search.recipe.epochs:g} epoch" + "s" * (search.recipe.epochs != 1)
        known = f" ({', '.join(self.starters)} first)" if self.starters else ""
        return (
            f"search: {search.trials} children{known} of {epochs}, {cluster.workers} at a time{where}; "
            f"{search.controller}{replicas}"
        )

    def source(self, search: Search) -> str:
        return f"{search.trials} children"
