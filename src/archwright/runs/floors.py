"""How a timed run divides its seconds, and the least that the network it delivers has of them: half, and two passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from archwright.errors import ConfigError
from archwright.methods.cost import LEAST_PASSES, LEAST_SHARE
from archwright.report.words import counted
from archwright.runs.rates import SHORT

if TYPE_CHECKING:
    from archwright.runs.plan import FinalTraining, Plan

SHARE, MOST_SHARE = 0.55, 0.8  # of the whole time, planned for the network delivered; and where passes are few
SPREAD = 1.5  # times the mean cost of a network that the one found may have, and still make two passes


@dataclass(frozen=True)
class Division:
    """Seconds of a timed run: `own` for search, deriving and final training, `delivered` of them for one network."""

    own: float
    delivered: float

    @property
    def search(self) -> float:
        """What is left for search and deriving."""
        return self.own - self.delivered

    def shortlist(self, most: int) -> int:
        """Return how many, up to `most`, train for a short time first: in half of the time beside final training."""
        fitting = int(self.search / 2 / (SHORT * self.delivered))
        return 1 if fitting < 2 else min(most, fitting)


def divide(seconds: float, left: float, final: FinalTraining, two_passes: float) -> Division:
    """Divide the seconds that are `left` of a run of `seconds`.

    A random search takes as long as search and final training, a reference as long as final training, and a known
    network a share of that. `two_passes` are the seconds of so much final training: where they are more than the usual
    share, the search is shorter.
    """

    def own(share: float) -> float:
        return left / (1 + final.baseline + share * (final.reference + final.known))

    share = min(MOST_SHARE, SHARE * seconds / left)
    share = min(MOST_SHARE, max(share, SPREAD * two_passes / own(share)))
    return Division(own(share), share * own(share))


def require_time(seconds: float, left: float) -> None:
    """Raise `ConfigError` where loading, planning, the test and the report take all of the time."""
    if left <= 0:
        right = math.ceil(4 * 2 * (seconds - left) / 60) / 4
        raise ConfigError(
            f"minutes is {seconds / 60:g}, and loading, planning, the test and the report take {seconds - left:.0f} s; "
            f"use --minutes {right:g} or more"
        )


def require_half(minutes: float, own: float, searching: float, trainings: float, fixed: Sequence[str]) -> None:
    """Raise `ConfigError` where what the user `fixed` leaves less than half of the time to the network delivered.

    `own` are the seconds for search, deriving and final training, `searching` what the first two take, and `trainings`
    whole trainings, those of a shortlist included, share the others.
    """
    delivered = (own - searching) / trainings
    if delivered >= LEAST_SHARE * own:
        return
    ways_out = [f"leave out {', '.join(fixed)}"] if fixed else []
    if LEAST_SHARE * trainings < 1:
        needed = searching / (1 - LEAST_SHARE * trainings)
        ways_out.append(f"use --minutes {math.ceil(1.05 * minutes * needed / own):g}")
    shared = counted(round(trainings, 2), "training")
    raise ConfigError(
        f"with --minutes {minutes:g} the network delivered would train for {max(0.0, delivered):.0f} of {own:.0f} s, "
        f"and it must have half: the search takes {searching:.0f} s, and what is left is for {shared}; "
        f"{', or '.join(ways_out)}"
    )


def require_passes(minutes: float, passes: float, otherwise: float, fixed: Sequence[str]) -> None:
    """Raise `ConfigError` where final training makes fewer than two passes, and would make them without `fixed`."""
    if passes < LEAST_PASSES <= otherwise:
        right = math.ceil(1.05 * minutes * LEAST_PASSES / passes)
        raise ConfigError(
            f"with --minutes {minutes:g} final training would make {passes:.2g} passes over the training part, and it "
            f"must make {LEAST_PASSES:g}; leave out {', '.join(fixed)} (then it makes {otherwise:.2g}), or use "
            f"--minutes {right:g}"
        )


def floor_line(plan: Plan) -> str | None:
    """Say what the network delivered has at least, in a timed run."""
    minutes, estimate = plan.budget.minutes, plan.budget.estimate
    if minutes is None:
        return None
    passes, trains = plan.final.recipe.epochs, estimate["final training"]
    words = f"{passes:.3g} passes"
    words += " (two do not fit: the data are too large)" if passes < LEAST_PASSES else f" (at least {LEAST_PASSES:g})"
    return f"floor: the network delivered trains for {trains:.0f} s, half of its run's time at least, in {words}"
