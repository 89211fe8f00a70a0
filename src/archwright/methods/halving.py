"""Successive halving (Jamieson & Talwalkar 2016): who goes on after which share of a training, and what losers cost."""

from __future__ import annotations

from dataclasses import dataclass

from archwright.methods.protocol import Rung

SHORTEST = 5.0  # seconds of a first heat: less says nothing, and starting a network takes a second
FEWEST, MOST = 7, 36  # networks that start
UNIT = 1e-12  # a first share so small that none of the later ones reaches the whole
# Of a whole training: networks that are fast at first are rarely better in the end, so the last heat is later.
LATE = 1 / 8
# With fewer passes over the data a longer training gains more than a choice does: the losers' share falls with them, to
# a half (docs/value.md).
ENOUGH_PASSES, LEAST_LOSERS = 10.0, 0.5


@dataclass(frozen=True)
class Halving:
    """One in `reduction` goes on until it has trained `growth` times as long; two at least are in the last heat."""

    reduction: int
    growth: float

    def rungs(self, entrants: int, first_share: float) -> tuple[Rung, ...]:
        """Return the heats after the first: how many go on, to which share of their training."""
        share, rungs = first_share, list[Rung]()
        while entrants > 1:
            entrants = -(-entrants // self.reduction)
            count, share = max(entrants, 1 if rungs else 2), share * self.growth
            if count == 1 or share >= 1:
                break
            rungs.append(Rung(count, share))
        return tuple(rungs)

    def lost(self, entrants: int) -> float:
        """Return the time of all losers, in units of the first heat's share."""
        counts = [entrants, *(rung.count for rung in self.rungs(entrants, UNIT))]
        shares = [0.0, *(self.growth**heat for heat in range(len(counts)))]
        return sum((n - 1) * (later - s) for n, s, later in zip(counts, shares, shares[1:], strict=False))

    def entrants(self, losers: float, whole: float, passes: float) -> int:
        """Return how many start where losers have `losers` seconds and a training `whole`, in so many passes.

        As many as have a first heat of `SHORTEST` seconds, or up to `FEWEST` one of a pass over the data, and a last
        heat that is late; two at least.
        """

        def suits(entrants: int) -> bool:
            first = losers / self.lost(entrants)
            last = first * self.growth ** len(self.rungs(entrants, UNIT))
            long = first >= SHORTEST or (entrants <= FEWEST and passes * first >= whole)
            return long and last >= LATE * whole

        return max(filter(suits, range(3, MOST + 1)), default=2)


def losers_share(usual: float, passes: float | None) -> float:
    """Return the share of the time for networks that are not delivered, where the others make so many passes."""
    return usual if passes is None else usual * min(1.0, max(LEAST_LOSERS, passes / ENOUGH_PASSES))
