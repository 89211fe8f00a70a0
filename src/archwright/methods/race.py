"""Race: networks are compared after equal seconds, the best train on, and the winner's time is not lost.

Successive halving (Jamieson & Talwalkar 2016) over trainings whose rate stays constant until it decays at the end (WSD,
Hu et al. 2024): a training can be looked at early and go on, so only the losers' time is spent on the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from archwright.errors import ChildFailure, ConfigError
from archwright.evaluators.race import Race
from archwright.methods.cost import FORWARD, LEAST_PASSES, LEAST_SHARE, Rates
from archwright.methods.halving import Halving, losers_share
from archwright.methods.protocol import ChildrenMethod, Context, Rung, Search, Settings, StepSeconds
from archwright.methods.sizing import BALANCE, COST_POWER, START_SIZE, Sizing, admitted
from archwright.space import Architecture, Space

if TYPE_CHECKING:
    from archwright.engines.settings import Cluster
    from archwright.training.recipe import Recipe

PLANNED = ("epochs", "precision", "optimizer", "augment", "weight_decay")  # of the recipe, for the time there is
COUNTED = 10  # of them in a counted run
SMALLER_KNOWN = (0.5, 0.25)  # widths at which the first known network starts, too, where costs are an objective
# Of what the first known network is predicted to gain still: of networks that are fast at first, leads of up to 0.36 of
# it were lost in the end, one of 0.43 came to nothing, and those above a half stayed (docs/value.md).
DOUBT = 0.4
STARTING = 1.5  # seconds that building and timing a network takes


@dataclass(frozen=True)
class RaceMethod(ChildrenMethod):
    """Settings of a race.

    Args:
        losers: share of the training time that goes to networks that are not delivered; planned for minutes, down to a
            half of it where these allow few passes over the training part.
        reduction: of the networks compared, one in so many trains on.
        growth: how many times longer a network has trained when it is compared again. A late last heat tells the end.
        window: passes over the training part that a proposal's training may have, as a factor below and above those
            of the known networks: outside, the comparison after a short time says little about the end.
        balance: known networks are sized for as many passes over the training part as the square root of so many times
            those of the first one at a quarter of its width (docs/value.md).
        extrapolate: rank later heats by the error that a power law through a network's last two looks predicts for the
            end (docs/value.md), instead of the error now: a short comparison favours networks that are fast at first.
        heirs: the share of the first heat that a proposal is spared which has half of its weights in common with one
            before it: it begins with the weights that the other had then. 0: all begin with random weights.
        favourite: the first known network stays ahead of what is not certainly better than it, by two fifths of what
            it will still gain; without, the best known one in the heat stays ahead of what is not certainly better.
        first_share: planned: of its whole training, when a network is first compared.
        whole: planned: seconds of a whole training; None where the budget is counted.
        passes: planned: passes over the training part that the known networks are sized for.
        starters: planned: the known networks that start, by name.
        small: planned: networks faster than the known ones may start, too; they make no more passes than others.
        large: planned: so may slower ones, as long as they make two passes: a front holds what others dominate in one
            objective alone.
    """

    name: ClassVar[str] = "race"
    in_one_process: ClassVar[bool] = True
    phrase: ClassVar[str] = " in the first heat"

    losers: float = 0.25
    reduction: int = 4
    growth: float = 8.0
    window: float = 2.0
    balance: float = BALANCE
    extrapolate: bool = True
    heirs: float = 0.0
    favourite: bool = True
    first_share: float = 0.03
    whole: float | None = None
    passes: float | None = None
    starters: Mapping[str, Any] = field(default_factory=dict)
    small: bool = False
    large: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.losers <= 0.5:
            raise ConfigError(f"losers is {self.losers}; it must be above 0, and 0.5 at most: half goes to the winner")
        if self.reduction < 2:
            raise ConfigError(f"reduction is {self.reduction}; it must be at least 2")
        if not self.growth > 1:
            raise ConfigError(f"growth is {self.growth}; it must be above 1")
        if not 0 < self.balance < math.inf:
            raise ConfigError(f"balance is {self.balance}; it must be above 0")
        if not 0 <= self.heirs < 1:
            raise ConfigError(f"heirs is {self.heirs}; it must be from 0 to below 1")
        if not self.window >= 1:
            raise ConfigError(f"window is {self.window}; it must be at least 1")

    @staticmethod
    def sized(user: Mapping[str, Any], preset: Mapping[str, Any], epochs: float | None, final: Recipe) -> Settings:
        return {"trials": COUNTED, "shortlist": 1}

    def known(self, search: Search) -> Mapping[str, Architecture]:
        return {name: Architecture.from_json(data) for name, data in self.starters.items()}

    def narrowed(self, space: Space, known: Sequence[Architecture]) -> Space:
        return space.near(known, self.window)

    def steps(
        self, architecture: Architecture, recipe: Recipe, per_epoch: int, step_seconds: Callable[[], float]
    ) -> int:
        """Return the steps that fill the seconds of a whole training; a counted run has passes instead."""
        if self.whole is None:
            return super().steps(architecture, recipe, per_epoch, step_seconds)
        known = architecture.to_json() in self.starters.values()  # sized for the time, as well as widths allow
        count = max(1, int(self.whole / step_seconds()))
        if self.passes is None:  # without known networks there is nothing to be near to
            return count
        passes, most = count / per_epoch, self.passes * self.window
        least = max(0.0 if self.large else self.passes / self.window, min(LEAST_PASSES, self.passes))
        if self.small and passes > most:
            return max(1, int(most * per_epoch))
        if not known and not least <= passes <= most:
            raise ChildFailure(
                f"the whole training makes {passes:.3g} passes over the training part; it must be {least:.3g} to "
                f"{most:.3g} (window {self.window:g} around those of the known networks)"
            )
        return count

    def admit(self, work: float, known: Sequence[float]) -> None:
        """Refuse a network that is too large to be timed, or, in a counted run, to be compared after equal passes."""
        window = self.window
        if self.large:  # at most what still makes two passes in the time, or takes a counted run so much longer
            window = max(window, self.passes / LEAST_PASSES) if self.passes else window**2
        if work > window * max(known):
            raise ChildFailure(
                f"the network has {work:,.0f} multiply-adds; it must have {window * max(known):,.0f} at most "
                f"(window {window:g} above the known networks)"
            )

    def rungs(self, entrants: int) -> tuple[Rung, ...]:
        return self._halving.rungs(entrants, self.first_share)

    @property
    def _halving(self) -> Halving:
        return Halving(self.reduction, self.growth)

    def planned(self, context: Context, seconds: float, fixed: Collection[str], step_seconds: StepSeconds) -> Settings:
        """Return the networks that start, how many enter, and how long each trains, to fill `seconds`."""
        parts = context.modality.data.parts
        sizing = Sizing(context, self.balance, fixed, step_seconds)
        passes = sizing.passes((1 - self.losers) * seconds)
        losers = self.losers if "losers" in fixed else losers_share(self.losers, passes)
        entrants = context.search.trials if "trials" in fixed else self._entrants(seconds, losers, passes)
        available = seconds - STARTING * entrants
        whole = max((1 - losers) * available, LEAST_SHARE * seconds)
        if whole >= available:
            raise ConfigError(
                f"{entrants} networks are begun in about {STARTING * entrants:.0f} s, and half of the {seconds:.0f} s "
                f"that are left for the race is the winner's; use {'fewer --trials or ' * ('trials' in fixed)}more "
                "--minutes"
            )
        # The networks of a front share the time of the one that is delivered, and begin with smaller known ones, too.
        several, together = bool(context.search.pareto), self._together(context)
        whole /= together
        count = None if several or "starters" in fixed else entrants - 1
        starters, recipe = sizing.networks(whole, count, SMALLER_KNOWN if several else ())
        near = [*starters.values()]
        if "starters" in fixed:
            starters = {name: one for name, one in starters.items() if name.partition("-x0")[0] in self.starters}
        starters = dict([*starters.items()][: entrants - 1])  # one at least is found
        passes = recipe.epochs
        looked_at = (len(parts["validation"]) + len(parts["test"])) / len(parts["train"])
        looks = context.search.space.forwards * FORWARD * looked_at / passes
        whole, available = whole / (1 + looks), available / (1 + looks)
        share = (available - whole * together) / whole / self._halving.lost(max(2, entrants))
        return {
            "trials": entrants,
            "losers": losers,
            "whole": whole,
            "passes": passes if starters else None,
            "recipe": {name: getattr(recipe, name) for name in PLANNED},
            "first_share": min(share, 1 / (self.growth + 1)),
            "starters": {name: architecture.to_json() for name, architecture in starters.items()},
            "small": bool(context.search.aims.costs),
            "large": several,
            "near": near,
        }

    def _together(self, context: Context) -> float:
        """Return what the finalists of a front take, in whole trainings of the first known network.

        They are thought to be that one at its widths: the smaller ones make `window` times its passes at most.
        """
        if not context.search.pareto:
            return 1.0
        each = [min(1.0, self.window * float(size**COST_POWER)) for size in (1.0, *SMALLER_KNOWN)]
        return sum(each[: context.finalists]) + each[-1] * max(0, context.finalists - len(each))

    def finalists_seconds(self, context: Context, rates: Rates) -> float:
        return self._together(context) * self.whole_seconds(context, rates)

    def limited(self, context: Context, most: int | None = None) -> Settings:
        known = context.search.space.known(START_SIZE, context.final, len(context.modality.data.train))
        starters = {}
        for name, one in [*self.known(context.search).items()][:most]:
            if not context.admits(one) and name in known:
                one, _ = admitted(context, context.final, name, START_SIZE)
            if context.admits(one):
                starters[name] = one.to_json()
        return {"starters": starters, "large": bool(context.search.pareto)}

    def _entrants(self, seconds: float, losers: float, passes: float | None) -> int:
        """Return how many networks start; beginning them takes a quarter of the time at most: half is the winner's."""
        fitting = self._halving.entrants(
            losers * seconds, (1 - losers) * seconds, math.inf if passes is None else passes
        )
        return max(2, min(fitting, int(seconds / 4 / STARTING)))

    def predicted(self, looks: Sequence[tuple[float, float]]) -> float:
        if not self.extrapolate or len(looks) < 2 or min(error for _, error in looks[-2:]) <= 0:
            return looks[-1][1]
        (before, first), (share, last) = looks[-2:]
        power = min(0.0, math.log(last / first) / math.log(share / before))
        return float(last * share**-power)

    def evaluator(self, context: Context) -> Race:
        if context.trainings is None:
            raise ConfigError("a race needs a run folder, which keeps its trainings")
        return Race(context.trainings, context.modality, self.first_share, context.objective, self.lent)

    @property
    def lent(self) -> float:
        return self.heirs * self.first_share

    def guard(self, ranked: Sequence[Architecture], known: Sequence[Architecture]) -> Architecture | None:
        if self.favourite:
            return super().guard(ranked, known)
        return next((one for one in ranked if one in known), None)

    def doubt(self, now: float, end: float) -> float:
        return DOUBT * max(0.0, now - end) if self.favourite else 0.0

    def whole_seconds(self, context: Context, rates: Rates) -> float:
        return self.whole or super().whole_seconds(context, rates)

    def seconds(self, context: Context, rates: Rates) -> tuple[float, float]:
        """Return what the first heat takes, and the others without the winner's part, which is final training."""
        whole = self.whole_seconds(context, rates)
        entrants, last, later = context.search.trials, self.first_share, 0.0
        for rung in self.rungs(entrants):
            later, last = later + rung.count * (rung.share - last), rung.share
        building = 0.0 if self.whole is None else STARTING  # nothing is timed in a counted run
        return entrants * (self.first_share * whole + building), max(0.0, later - last) * whole

    def fitted(self, context: Context, rates: Rates, seconds: float, fixed: Collection[str]) -> tuple[Settings, float]:
        return {}, math.inf  # `planned` fills the time

    def line(self, search: Search, cluster: Cluster) -> str:
        known = f"{len(self.starters)} known ones ({', '.join(self.starters)}) among them, " if self.starters else ""
        return (
            f"search: a race of {search.trials} networks, {known}compared after {self.first_share:.1%} of their "
            f"training; one in {self.reduction} trains on; {search.controller}"
        )

    def source(self, search: Search) -> str:
        return f"{search.trials} that started"
