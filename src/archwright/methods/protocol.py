"""What a method is, and the search that it belongs to: both are values, stored with the plan of a run."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from archwright.errors import ConfigError
from archwright.evaluators.aims import Aims, limit
from archwright.evaluators.expression import Expression
from archwright.evaluators.objective import Objective, make_objective
from archwright.loop import Progress
from archwright.methods.cost import Cost, Rates, cost
from archwright.training.recipe import ENAS_MICRO_SEARCH, Recipe

if TYPE_CHECKING:
    from archwright.engines.settings import Cluster
    from archwright.evaluators.race import Trainings
    from archwright.loop import Proposal, Saved, Trial
    from archwright.modalities.protocol import Modality
    from archwright.space import Architecture, Space

StepSeconds: TypeAlias = "Callable[[Architecture, Recipe], float]"
NEAR = 2.0  # times a known network's cost that a child's may be, or one in so many, where the space knows it
Settings = dict[str, Any]  # settings of a plan by the names of their flags


@dataclass(frozen=True)
class Search:
    """What is searched, and how.

    Args:
        space: what the architectures belong to, as searched.
        method: how proposals are scored.
        controller: its name; `controller_settings` are its arguments.
        objective: what the reward is; `objective_settings` are its arguments.
        within: hard constraints, each `METRIC=VALUE`.
        pareto: several objectives, each a metric or an expression; the reward is made of them.
        recipe: how shared weights, or each child of the search, are trained.
        trials: proposals scored in the search.
    """

    space: Space
    method: Method
    controller: str = "reinforce"
    controller_settings: Mapping[str, Any] = field(default_factory=dict)
    objective: str = "accuracy"
    objective_settings: Mapping[str, Any] = field(default_factory=dict)
    within: tuple[str, ...] = ()
    pareto: tuple[str, ...] = ()
    recipe: Recipe = ENAS_MICRO_SEARCH
    trials: int = 45_000

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ConfigError(f"trials is {self.trials}; it must be at least 1")
        aims = self.aims  # those that cannot be made are an error of the plan
        if not aims.plain and not self.method.costs:
            given = f"pareto {','.join(self.pareto)}" if self.pareto else f"objective {self.objective}"
            given = f"within {', '.join(self.within)}" if self.within else given
            raise ConfigError(
                f"--{given}: the method {self.method.name} {self.method.without_costs}; use --evaluator from-scratch"
            )

    @property
    def aims(self) -> Aims:
        """What the search is after."""
        objective = make_objective(self.objective, self.objective_settings)
        return Aims(objective, tuple(map(limit, self.within)), tuple(map(Expression, self.pareto)))

    @property
    def reward(self) -> Objective:
        """What the reward is, as a value."""
        aims = self.aims
        return aims.reward if aims.pareto else aims.objective

    @property
    def reward_name(self) -> str:
        """What the reward is, in words."""
        return f"reward of {', '.join(self.pareto)}" if self.pareto else f"reward ({self.objective})"

    @property
    def grown(self) -> Space:
        """The space as the last proposal sees it."""
        return self.space.grown(self.trials - 1)


@dataclass(frozen=True)
class Rung:
    """A heat of a race: `count` networks train on until `share` of their training is done."""

    count: int
    share: float


@dataclass(frozen=True)
class Context:
    """A search in its run: what a method is asked about. `final` is the recipe of final training.

    `patience`: seconds after which a measurement ends, though it has not seen all of its steps.
    `excess`: how many times its limit a cost of an architecture is, the most of all that is known before training.
    """

    search: Search
    modality: Modality
    final: Recipe
    cluster: Cluster
    seed: int
    device: str
    trainings: Trainings | None = None  # of a run that has begun
    patience: float = math.inf
    excess: Callable[[Architecture], float] = lambda architecture: 0.0
    finalists: int = 1

    def admits(self, architecture: Architecture) -> bool:
        """Return whether an architecture is within the limits."""
        return self.excess(architecture) <= 1

    @property
    def objective(self) -> Objective:
        """What an evaluator rewards by itself: the usual of the data, where `Costed` makes the reward."""
        aims = self.search.aims
        return aims.objective if aims.plain else make_objective(self.modality.objective)

    def child_cost(self, rates: Rates) -> Cost:
        """Return the cost of a child trained with the recipe of the search; `rates` are those of final training."""
        scale = self.modality.per_step(self.search.recipe) / self.modality.per_step(self.final)
        return cost(self.search.recipe, self.modality, rates.child_step * scale)


@dataclass(frozen=True)
class Method(ABC):
    """A way of scoring proposals. Subclasses are frozen dataclasses; their fields are settings with defaults.

    `name` is what the user calls it. `expensive`: a trial costs the training of a network, so trials are few.
    `in_one_process`: proposals share something in memory. `phrase` stands behind a reward in the words of a run.
    `controller`: the only one of ours that it works with, and that no other method works with. `shares`: the state of
    its evaluator has, under "network", weights that a child's have the names of. `costs`: its trials can be scored by
    what networks cost, which `predicts` says is predicted; `without_costs` says why not.
    """

    name: ClassVar[str]
    expensive: ClassVar[bool]
    in_one_process: ClassVar[bool]
    phrase: ClassVar[str] = ""
    controller: ClassVar[str | None] = None
    shares: ClassVar[bool] = False
    costs: ClassVar[bool] = True
    predicts: ClassVar[bool] = False
    without_costs: ClassVar[str] = ""

    @staticmethod
    @abstractmethod
    def sized(user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe) -> Settings:
        """Return settings over those of a preset that depend on what the user set.

        `epochs` is what the user set for the recipe of the search; "epochs" in the answer sets it. A preset without
        "evaluator" is one for shared weights.
        """

    def check(self, search: Search, finalists: int) -> None:  # noqa: B027  most methods accept every search
        """Raise `ConfigError` where the search does not fit the method."""

    def controller_settings(self, search: Search) -> Mapping[str, Any]:
        """Return arguments of the controller that follow from the search, unless the plan has them."""
        return {}

    @abstractmethod
    def evaluator(self, context: Context) -> Any:
        """Return what scores the trials, untrained."""

    def trained(self, context: Context, saved: Saved) -> Any:
        """Return the evaluator as the search left it, where its ranking can be compared with training from scratch."""
        raise ConfigError("the search trained every child from scratch; there is nothing to rank")

    def measure(self, context: Context, architectures: Sequence[Architecture]) -> dict[str, float]:
        """Measure the seconds of everything that the search repeats, beside a step of a child."""
        return {}

    @abstractmethod
    def seconds(self, context: Context, rates: Rates) -> tuple[float, float]:
        """Return what search and deriving take."""

    def derivation(self, context: Context, rates: Rates, seconds: float) -> tuple[Settings, float]:
        """Return settings with which deriving fits into a whole run of `seconds`, and the seconds that it takes."""
        return {}, 0.0

    @abstractmethod
    def fitted(self, context: Context, rates: Rates, seconds: float, fixed: Collection[str]) -> tuple[Settings, float]:
        """Return settings with which the search takes `seconds`, and the passes over the training part it makes then.

        "epochs" among the settings is the recipe's; those in `fixed` are the user's and stay. Passes are infinite
        where more time would not make a larger network worth it.
        """

    def whole_seconds(self, context: Context, rates: Rates) -> float:
        """Return what final training of one network takes, with what the search has done of it."""
        return cost(context.final, context.modality, rates.child_step).of(context.final.epochs)

    def finalists_seconds(self, context: Context, rates: Rates) -> float:
        """Return what final training of all finalists takes."""
        return context.finalists * self.whole_seconds(context, rates)

    def planned(
        self, context: Context, seconds: float, fixed: Collection[str], step_seconds: StepSeconds
    ) -> Settings | None:
        """Return settings with which search and final training fill `seconds`, or None: `fitted` and sizes do it.

        "recipe" among them has fields of the recipe, "near" what proposals should cost about as much as. `step_seconds`
        measures a step of an architecture's training by a recipe. Settings and fields in `fixed` are the user's: they
        stay.
        """
        return None

    def limited(self, context: Context, most: int | None = None) -> Settings:
        """Return settings of a counted search in which what is known is within the limits; of `most` known networks."""
        return {}

    def known(self, search: Search) -> Mapping[str, Architecture]:
        """Return known networks that are proposed before the controller's, by name."""
        return {}

    def narrowed(self, space: Space, known: Sequence[Architecture]) -> Space:
        """Return the space of what may be proposed beside known networks."""
        return space

    def steps(
        self, architecture: Architecture, recipe: Recipe, per_epoch: int, step_seconds: Callable[[], float]
    ) -> int:
        """Return the steps of a whole training that a search begins; `ChildFailure` if such a network may not start.

        `step_seconds` measures a step.
        """
        return max(1, round(recipe.epochs * per_epoch))

    def admit(self, work: float, known: Sequence[float]) -> None:  # noqa: B027  most methods train everything
        """Raise `ChildFailure` where a network of `work` multiply-adds may not start beside known ones of `known`."""

    def rungs(self, entrants: int) -> Sequence[Rung]:
        """Return heats between the search of so many architectures and final training, which goes on after them."""
        return ()

    @property
    def lent(self) -> float:
        """The share of its whole training after which a network's weights are lent to later ones; 0: never."""
        return 0.0

    def guard(self, ranked: Sequence[Architecture], known: Sequence[Architecture]) -> Architecture | None:
        """Return which of the networks that are ranked, the best first, stays unless another is certainly better."""
        return next((one for one in known[:1] if one in ranked), None)

    def predicted(self, looks: Sequence[tuple[float, float]]) -> float:
        """Return the error by which a heat ranks. `looks` are shares of the training and errors there, up to now."""
        return looks[-1][1]

    def doubt(self, now: float, end: float) -> float:
        """Return by how much another network's error has to be less than that of `guard`, whose `end` is predicted."""
        return 0.0

    @abstractmethod
    def ranked(
        self, context: Context, saved: Saved, ask: Callable[[int], Sequence[Proposal]]
    ) -> dict[Architecture, float]:
        """Return the architectures that a finished search offers for final training, with their scores."""

    def scoring(
        self, context: Context, ranked: Mapping[Architecture, float]
    ) -> Callable[[Mapping[Architecture, float]], Mapping[Architecture, float]]:
        """Return what scores the `ranked` again, given validation losses of those that were trained from scratch."""
        return lambda losses: ranked

    def counted(self, trial: Trial, trials: int) -> Progress | None:
        """Return the progress of a search by its trials, or None where the evaluator itself reports progress."""
        return None

    @abstractmethod
    def line(self, search: Search, cluster: Cluster) -> str:
        """Describe the search in a line of a plan."""

    @abstractmethod
    def source(self, search: Search) -> str:
        """Say what finalists are chosen from ("10 samples")."""


class ChildrenMethod(Method):
    """A method whose trials train a network each: the best trials are offered, and progress is counted in trials."""

    expensive: ClassVar[bool] = True

    def narrowed(self, space: Space, known: Sequence[Architecture]) -> Space:
        return space.near(known, NEAR)

    def ranked(
        self, context: Context, saved: Saved, ask: Callable[[int], Sequence[Proposal]]
    ) -> dict[Architecture, float]:
        """Return the architectures of all trials that did not fail, the best reward first."""
        found: dict[Architecture, float] = {}
        for trial in sorted(saved.trials, key=lambda trial: (-trial.reward, trial.number)):
            if trial.result.error is None:
                found.setdefault(trial.architecture, trial.reward)
        return found

    def counted(self, trial: Trial, trials: int) -> Progress:
        return Progress("search", trial.number + 1, trials)
