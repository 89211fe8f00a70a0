"""What a method is, and the search that it belongs to: both are values, stored with the plan of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from archwright.errors import ConfigError
from archwright.evaluators.objective import Objective, make_objective
from archwright.methods.cost import Cost, Rates
from archwright.training.recipe import ENAS_MICRO_SEARCH, Recipe

if TYPE_CHECKING:
    from archwright.engines.settings import Cluster
    from archwright.loop import Proposal, Saved, Trial
    from archwright.modalities.protocol import Modality
    from archwright.space import Architecture, Space


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Args:
        space: what the architectures belong to, as searched.
        method: how proposals are scored.
        controller: its name; `controller_settings` are its arguments.
        controller_settings: arguments of the controller.
        objective: what the reward is; `objective_settings` are its arguments.
        objective_settings: arguments of the objective.
        recipe: how shared weights, or each child of the search, are trained.
        trials: proposals scored in the search.
    """

    space: Space
    method: Method
    controller: str = "reinforce"
    controller_settings: Mapping[str, Any] = field(default_factory=dict)
    objective: str = "accuracy"
    objective_settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = ENAS_MICRO_SEARCH
    trials: int = 45_000

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"trials is {self.trials}; it must be at least 1")
        make_objective(self.objective, self.objective_settings)  # one that cannot be made is an error of the plan

    @property
    def reward(self) -> Objective:
        """The objective as a value."""
        return make_objective(self.objective, self.objective_settings)

    @property
    def grown(self) -> Space:
        """The space as the last proposal sees it."""
        return self.space.grown(self.trials - 1)


class Method(Protocol):
    """A way of scoring proposals. Implementations are frozen dataclasses; their fields are settings with defaults.

    `name` is what the user calls it. `expensive`: a trial costs the training of a network, so trials are few.
    `in_one_process`: proposals share something in memory. `phrase` stands behind a reward in the words of a run
    (" with shared weights").
    """

    name: ClassVar[str]
    expensive: ClassVar[bool]
    in_one_process: ClassVar[bool]
    phrase: ClassVar[str]

    @staticmethod
    def sized(
        user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe
    ) -> dict[str, Any]:
        """Return settings over those of a preset that depend on what the user set.

        `user` and `preset` are settings by name; `epochs` is what the user set for the recipe of the search; "epochs"
        in the answer sets it. A preset without "evaluator" is one for shared weights.
        """

    def check(self, search: Search, finalists: int) -> None:
        """Raise `ConfigError` where the search does not fit the method."""

    def evaluator(self, search: Search, modality: Modality, cluster: Cluster, *, seed: int, device: str) -> Any:
        """Return what scores the trials."""

    def measure(
        self, search: Search, modality: Modality, architectures: Sequence[Architecture], *, seed: int, device: str
    ) -> dict[str, float]:
        """Measure the seconds of everything that the search repeats, beside a step of a child."""

    def seconds(
        self, search: Search, modality: Modality, rates: Rates, final: Recipe, workers: int
    ) -> tuple[float, float]:
        """Return what search and deriving take; `final` is the recipe that `rates.child_step` is for."""

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
        """Return settings with which the search takes `seconds`, and the passes over the training part it makes then.

        "epochs" among the settings is the recipe's; those in `fixed` are the user's and stay. Passes are infinite
        where more time would not make a larger network worth it.
        """

    def derivation(
        self, search: Search, modality: Modality, rates: Rates, seconds: float
    ) -> tuple[dict[str, Any], float]:
        """Return settings with which deriving fits into a whole run of `seconds`, and the seconds that it takes."""

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
        """Return the architectures that a finished search offers for final training, with their scores."""

    def scorer(self, search: Search, modality: Modality, saved: Saved, *, seed: int, device: str) -> Any:
        """Return the trained evaluator whose ranking can be compared with training from scratch, if there is one."""

    def counted(self, trial: Trial, trials: int) -> Any:
        """Return the `Progress` of a search by its trials, or None where the evaluator itself reports progress."""

    def lines(self, search: Search, cluster: Cluster) -> list[str]:
        """Describe the search in lines of a plan."""

    def source(self, search: Search) -> str:
        """Say what finalists are chosen from ("10 samples")."""


def child_cost(search: Search, modality: Modality, rates: Rates, final: Recipe) -> Cost:
    """Return the cost of a child trained with the recipe of the search."""
    from archwright.methods.cost import cost

    scale = modality.per_step(search.recipe) / modality.per_step(final)
    return cost(search.recipe, modality, rates.child_step * scale)
