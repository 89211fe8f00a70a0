"""The heats of a race after the first: the best networks train on and are compared again (successive halving)."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Mapping
from typing import TYPE_CHECKING, Any

from archwright.runs.events import Event, Message

if TYPE_CHECKING:
    from archwright.runs.front import Values
    from archwright.runs.plan import Plan
    from archwright.runs.trainings import Trainings
    from archwright.space import Architecture

Ranked = list[tuple["Architecture", float]]
Results = Mapping["Architecture", Mapping[str, Any]]


class Heats:
    """Runs the heats that the method asks for, over what the search has ranked.

    With several objectives, whose `values` are given, networks rank by the front they are part of. Otherwise a known
    network, which people would take (`Method.guard`), stays in every heat, and ahead of what is not certainly better
    (`Method.doubt`): networks that are fast at first are rarely better in the end (docs/value.md). The gain over the
    best known network of the last heat is recorded as `gain`, with its paired interval.
    """

    def __init__(self, plan: Plan, trainings: Trainings, values: Values | None = None) -> None:
        self.trainings, self.modality, self._values = trainings, trainings.modality, values
        self._method = plan.search.method
        self._names = {a: name for name, a in plan.search.method.known(plan.search).items()}

    def run(self, best: Ranked) -> Generator[Event, None, Ranked]:
        """Yield events, and return the ranking with those of the last heat first."""
        rungs, looks = self._method.rungs(len(best)), self._first_looks()
        for number, rung in enumerate(rungs):
            going, others = self._entrants(best, rung.count)
            self.trainings.forget(architecture for architecture, _ in others)
            for index, (architecture, _) in enumerate(going):
                yield from self.trainings.heat(architecture, rung.share, (index, len(going)))
            results = {a: self.trainings.result(a, rung.share) for a, _ in going}
            sound = [(a, r[self.modality.metric]) for a, r in results.items() if r["error"] is None]
            for architecture, score in sound:
                looks.setdefault(architecture, []).append((rung.share, self._error(score)))
            errors = {a: self._method.predicted(looks[a]) for a, _ in sound}
            ranked = self._ranked(dict(sound), errors, results)
            last = {a.id: (share, self._score(error)) for a, seen in looks.items() for share, error in seen[-1:]}
            self.trainings.store.put("looks", last)
            best = ranked + [item for item in best if item[0] not in dict(ranked)]
            words = ", ".join(f"{self.name(a)} {self.modality.wording.words(score)}" for a, score in ranked)
            yield Message(f"heat {number + 2}, {rung.share:.0%} of training: {words}")
            self._record_gain(ranked, results)
        return best

    def keep(self, best: Ranked, finalists: Collection[Architecture]) -> None:
        """Delete the trainings that do not go on: all but those of the finalists and of the best known network."""
        known = [architecture for architecture, _ in best if architecture in self._names]
        kept = {*finalists, *known[:1]}
        if self._method.rungs(len(best)):
            self.trainings.forget(architecture for architecture, _ in best if architecture not in kept)

    def _first_looks(self) -> dict[Architecture, list[tuple[float, float]]]:
        """Return the share of training and the error of what the search has looked at."""
        metric, found = f"validation_{self.modality.metric}", {}
        for trial in self.trainings.store.trials():
            if trial.result.error is None and "share" in trial.result.metrics:
                look = trial.result.metrics["share"], self._error(trial.result.metrics[metric])
                found[trial.architecture] = [look]
        return found

    def _ranked(
        self, scores: Mapping[Architecture, float], errors: Mapping[Architecture, float], results: Results
    ) -> Ranked:
        """Return scores, the best first: by the errors predicted for the end, or by the front with what they cost."""
        best = sorted(scores, key=lambda one: (errors[one], one.id))
        if self._values is not None:
            best = self._values.ordered([(one, self._score(errors[one])) for one in best], len(best))
        elif (guard := self._method.guard(best, [*self._names])) is not None:
            ahead = best[: best.index(guard)]  # in what is predicted; and they have to be certainly better now
            now = self._error(scores[guard])
            most = now - self._method.doubt(now, errors[guard])
            certain = (one for one in ahead if self._certain(results[one], results[guard]))
            first = next((one for one in certain if self._error(scores[one]) <= most), guard)
            best = [first, *(one for one in best if one != first)]
        return [(one, scores[one]) for one in best]

    def _certain(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
        """Return whether the 95 % interval of the difference lies on the better side of zero."""
        _, low, high = self.modality.difference(ours, theirs)
        return low > 0 if self.modality.larger_is_better else high < 0

    def _score(self, error: float) -> float:
        """Return what `_error` is of."""
        return 1 - error if self.modality.larger_is_better else math.exp(error)

    def _error(self, score: float) -> float:
        """Return what falls to zero as a network learns: the share of errors, or the logarithm of a perplexity."""
        return 1 - score if self.modality.larger_is_better else math.log(score)

    def name(self, architecture: Architecture) -> str:
        """Return the name of a known network, or the id."""
        return self._names.get(architecture, architecture.id)

    def _entrants(self, best: Ranked, count: int) -> tuple[Ranked, Ranked]:
        going = best[:count]
        guard = self._method.guard([one for one, _ in best], [*self._names])
        first = [item for item in best if item[0] == guard]
        if first and first[0] not in going:
            going = [*best[: max(1, count - 1)], *first]
        chosen = dict(going)
        return going, [item for item in best if item[0] not in chosen]

    def _record_gain(self, ranked: Ranked, results: dict[Architecture, Any]) -> None:
        """Record how much the best network gained over the best known one, where it is not known itself."""
        known = [architecture for architecture, _ in ranked if architecture in self._names]
        if not known:
            return
        best, reference = ranked[0][0], known[0]
        record: dict[str, Any] = {
            "known": self._names[reference],
            "architecture": reference.to_json(),
            "won": best == reference,
        }
        if best != reference:
            difference, *interval = self.modality.difference(results[best], results[reference])
            record |= {"difference": difference, "interval": interval}
        self.trainings.store.put("gain", record)
