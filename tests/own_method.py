"""A way of scoring of one's own, in one file: the parameters of a network, untrained."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from archwright.engines.settings import Cluster
from archwright.evaluators.function import Function
from archwright.loop import Proposal, Saved
from archwright.methods.cost import Rates
from archwright.methods.protocol import Context, Method, Search, Settings
from archwright.space import Architecture, Open
from archwright.training.recipe import Recipe


@dataclass(frozen=True)
class Smallest(Method):
    """Prefers small networks.

    Args:
        scale: parameters that count for a reward of one half.
    """

    name: ClassVar[str] = "smallest"
    expensive: ClassVar[bool] = False
    in_one_process: ClassVar[bool] = False
    phrase: ClassVar[str] = " by size"

    scale: float = 1e5

    @staticmethod
    def sized(user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe) -> Settings:
        return {"trials": 6, "shortlist": 1}

    def evaluator(self, context: Context) -> Function:
        def score(architecture: Architecture) -> float:
            space = context.search.space
            network = space.network(Open.only(space, architecture), context.modality.data.task)
            return self.scale / (self.scale + sum(parameter.numel() for parameter in network.parameters()))

        return Function(score)

    def seconds(self, context: Context, rates: Rates) -> tuple[float, float]:
        return 0.1 * context.search.trials, 0.0

    def fitted(self, context: Context, rates: Rates, seconds: float, fixed: Collection[str]) -> tuple[Settings, float]:
        return {"trials": int(10 * seconds), "epochs": 1}, 0.0

    def ranked(
        self, context: Context, saved: Saved, ask: Callable[[int], Sequence[Proposal]]
    ) -> dict[Architecture, float]:
        return {trial.architecture: trial.reward for trial in saved.trials}

    def line(self, search: Search, cluster: Cluster) -> str:
        return f"search: the smallest of {search.trials}"

    def source(self, search: Search) -> str:
        return f"{search.trials} sizes"
