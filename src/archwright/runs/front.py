"""The front of a run: the networks that none is better than in everything, from all that the run has measured."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from archwright.controllers.hypervolume import hypervolume
from archwright.costs.network_costs import BOUNDS, TIMED
from archwright.costs.target import COSTS
from archwright.evaluators.aims import Aims
from archwright.evaluators.expression import Expression
from archwright.fronts import front, knee
from archwright.space import Architecture

if TYPE_CHECKING:
    from archwright.costs.network_costs import Costs
    from archwright.modalities.protocol import Modality
    from archwright.runs.candidates import Candidates
    from archwright.runs.plan import Plan
    from archwright.runs.rivals import Rivals

APART = 1.25  # times as much of a cost, at least, that one of two finalists takes


class Values:
    """The values of networks in a run's objectives; without several, those are its metric and the costs it reads."""

    def __init__(self, plan: Plan, modality: Modality, costs: Costs) -> None:
        aims, self._costs = plan.search.aims, costs
        self.metric, self.costs = f"validation_{modality.metric}", aims.costs
        texts = [modality.metric, *(name for name in aims.costs if name != "latency")]
        self._aims = Aims(aims.objective, (), aims.pareto or tuple(map(Expression, texts)))

    def of(self, score: float, costs: Mapping[str, float]) -> tuple[float, ...]:
        """Return the values of a network, larger is better, from its validation and what it costs."""
        return self._aims.values({self.metric: score, f"best_{self.metric}": score, **costs})

    def ordered(self, scored: Sequence[tuple[Architecture, float]], count: int) -> list[Architecture]:
        """Return `count` architectures, each with its validation score here: the best of the first objective, then
        whichever adds the most volume to those before."""
        values = [self.of(score, self._costs.of(one, self.costs)) for one, score in scored]
        return [scored[place][0] for place in spread(values, count)]

    def finalists(self, scored: Sequence[tuple[Architecture, float | None]], count: int) -> list[Architecture]:
        """Return up to `count` architectures, in order, that are worth a training each beside those before them.

        None of those is as good in everything, as far as scores are known, and none costs about as much.
        """
        chosen: list[tuple[Architecture, Mapping[str, float], Sequence[float] | None]] = []
        for one, score in scored:
            if len(chosen) == count:
                break
            costs = self._costs.of(one, self.costs)
            values = None if score is None else self.of(score, costs)
            if all(apart(costs, other, self._aims.costs) and not _worse(values, theirs) for _, other, theirs in chosen):
                chosen.append((one, costs, values))
        return [one for one, *_ in chosen]


def apart(one: Mapping[str, float], other: Mapping[str, float], names: Collection[str]) -> bool:
    """Return whether one of two certainly takes `APART` times as much of one of these costs, or there are none."""

    def differ(name: str) -> bool:
        less, more = sorted((one, other), key=lambda costs: costs[name])
        certain = name not in TIMED or less[BOUNDS[1]] < more[BOUNDS[0]]
        return certain and more[name] >= APART * less[name]

    return not names or any(map(differ, names))


def _worse(values: Sequence[float] | None, others: Sequence[float] | None) -> bool:
    """Return whether others are as good in everything."""
    return values is not None and others is not None and all(a <= b for a, b in zip(values, others, strict=True))


def spread(values: Sequence[Sequence[float]], count: int) -> list[int]:
    """Return up to `count` places: the best of the first part, then those that add the most volume.

    Parts that are costs, below zero, count by their logarithms; all are scaled to the span of these vectors.
    """
    if not values:
        return []
    parts = np.array(values, dtype=float)
    for axis in range(parts.shape[1]):
        if (parts[:, axis] < 0).all():
            parts[:, axis] = -np.log(-parts[:, axis])
    parts -= parts.min(0)
    parts /= np.maximum(parts.max(0), 1e-12)
    reference = np.zeros(parts.shape[1])
    chosen = [int(np.argmax(parts[:, 0]))]
    waiting = [place for place in range(len(parts)) if place != chosen[0]]
    while waiting and len(chosen) < count:
        gains = [hypervolume(parts[[*chosen, place]], reference) for place in waiting]
        chosen.append(waiting.pop(int(np.argmax(gains))))
    return chosen


@dataclass(frozen=True)
class Measured:
    """What a run has measured of networks, for its front."""

    values: Values
    costs: Costs
    candidates: Candidates
    rivals: Rivals

    def gathered(self) -> dict[str, Any]:
        """Return all networks as `points`, of which some are on the `front`, and the `knee` among these.

        A network that was trained to its end has its validation there, and others that of the last look in the search:
        they would be better after a whole training.
        """
        values, modality = self.values, self.candidates.modality
        points = sorted(self._points(), key=lambda point: float(point["costs"][values.costs[0]]))
        measured = [values.of(point["score"], point["costs"]) for point in points]
        places = front(measured)
        for place, point in enumerate(points):
            interval = modality.validation_interval(point["score"])
            point |= {"front": place in places, "interval": None if interval is None else list(interval)}
        words = {name: COSTS[name] for name in values.costs}
        best = places[knee([measured[place] for place in places])]
        return {"metric": modality.metric, "costs": words, "knee": points[best]["id"], "points": points}

    def _points(self) -> Iterator[dict[str, Any]]:
        plan, store, metric = self.candidates.plan, self.candidates.store, self.values.metric
        names = {one.id: name for name, one in plan.search.method.known(plan.search).items()}
        ended = set()
        for key, record in self._trained():
            written, kind, way = record["architecture"], key.partition("-")[0], record.get("way")
            own = key if written is None else Architecture.from_json(written).id
            name = plan.final.reference_name if written is None else names.get(own, own)
            if key in self.rivals.chosen:
                kind, name = "reference", self.rivals.chosen[key]["network"]
            ended.add(own)
            kind = "reference" if own in names else kind
            if way is not None:
                own, name = f"{own}-{way}", f"{name}-{way}"
            yield {
                **{"id": own, "name": name, "kind": kind, "trained": 1.0, "key": key, "score": record[metric]},
                **{"costs": self._costs(key), "architecture": written, "way": way},
            }
        looks: Mapping[str, Any] = store.get("looks", {})
        # With shared weights a trial says nothing of what a training would.
        for trial in store.trials() if not plan.search.method.predicts else ():
            own, metrics = trial.architecture.id, trial.result.metrics
            if trial.result.error is not None or own in ended:
                continue
            ended.add(own)
            share, score = looks.get(own, (metrics.get("share"), metrics[metric]))
            kind = "reference" if own in names else "searched"
            yield {
                **{"id": own, "name": names.get(own, own), "kind": kind, "trained": share, "key": None, "score": score},
                **{"costs": self._read(metrics), "architecture": trial.architecture.to_json(), "way": None},
            }

    def _trained(self) -> Iterator[tuple[str, Any]]:
        """Yield the keys and records of networks that were trained to their end."""
        for kind in ("found", "random", "reference"):
            for key in self.candidates.offered(kind):
                yield key, self.candidates.record(key)
        if (rival := self.rivals.last) is not None:
            yield rival, self.rivals.candidates(rival).record(rival)

    def _costs(self, key: str) -> dict[str, float]:
        """Return what a trained network costs; one of another space than the run's is measured now."""
        if key not in self.rivals.chosen:
            return self._read(self.candidates.costs(key))
        store = self.candidates.store
        stored: dict[str, float] | None = store.get(f"cost/{key}")
        if stored is None:
            stored = self.costs.measured(self.rivals.candidates(key).network(key).cpu(), self.values.costs)
            store.put(f"cost/{key}", stored)
        return self._read(stored)

    def _read(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return the costs that the run reads, and the bounds of a latency."""
        return {name: value for name, value in metrics.items() if name in (*self.values.costs, *BOUNDS)}
