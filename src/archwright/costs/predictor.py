"""Predicts what architectures cost from measured ones: a search that scores thousands cannot build each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from archwright.controllers.features import Description, Featurizer, Floats
from archwright.controllers.surrogate import Surrogate, fit
from archwright.space import Architecture, Space

HELD_BACK = 4  # one in so many of the measured architectures says how good the prediction is
Measured: TypeAlias = "Sequence[tuple[Architecture, Mapping[str, float]]]"


@dataclass(frozen=True)
class Agreement:
    """How well architectures that were held back were predicted: rank correlation, and median relative error."""

    spearman: float
    error: float
    count: int

    def words(self) -> str:
        """Return it as a person reads it."""
        return f"rank correlation {self.spearman:.3f}, median error {self.error:.1%} of {self.count} held back"


class Predictor:
    """The surrogate of `guided` over costs: architectures differ by decisions and by features.

    Where networks differ in width costs multiply, and where they differ in operations costs add: of a cost's logarithm
    and the cost itself, the one is taken that predicts some of the `measured` architectures from the others better.

    Args:
        space: of the architectures.
        measured: architectures with their costs by name, above zero.
    """

    def __init__(self, space: Space, measured: Measured) -> None:
        self._featurizer = Featurizer(space)
        for architecture, _ in measured:
            self._featurizer.learn(self._featurizer.read(architecture))
        known = self._featurizer.learned
        self._models = {
            name: _fitted(known, np.array([costs[name] for _, costs in measured])) for name in measured[0][1]
        }

    def of(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        """Return the predicted costs of architectures; a millisecond each, less for many at once."""
        described = self._featurizer.describe([self._featurizer.read(one) for one in architectures])
        columns = {name: model(described) for name, model in self._models.items()}
        return [{name: float(column[row]) for name, column in columns.items()} for row in range(len(architectures))]


@dataclass(frozen=True)
class _Model:
    """A surrogate of a cost, or of its logarithm, in units of the `deviation` from the `mean`."""

    surrogate: Surrogate
    mean: float
    deviation: float
    logarithm: bool
    least: float

    def __call__(self, others: Description) -> Floats:
        found = self.mean + self.deviation * self.surrogate.predict(others)[0]
        return np.exp(found) if self.logarithm else np.maximum(found, self.least)


def _fitted(known: Description, costs: Floats) -> _Model:
    """Return the better of the two models."""
    held = np.arange(len(costs)) % HELD_BACK == 1
    if held.sum() < 2:
        return _model(known, costs, logarithm=True)

    def error(logarithm: bool) -> float:
        made = _model(known.rows(~held), costs[~held], logarithm=logarithm)(known.rows(held))
        return float(np.median(np.abs(made - costs[held]) / costs[held]))

    return _model(known, costs, logarithm=min((True, False), key=error))


def _model(known: Description, costs: Floats, *, logarithm: bool) -> _Model:
    values = np.log(costs) if logarithm else costs
    mean, deviation = float(values.mean()), max(float(values.std()), 1e-9)
    scores = (values - mean) / deviation
    return _Model(Surrogate(known, scores, fit(known, scores)), mean, deviation, logarithm, float(costs.min()) / 2)


def agreement(space: Space, measured: Measured) -> dict[str, Agreement]:
    """Return how well one in `HELD_BACK` of the architectures is predicted from the others."""
    from scipy.stats import spearmanr

    held = measured[::HELD_BACK]
    predictor = Predictor(space, [one for place, one in enumerate(measured) if place % HELD_BACK])
    predicted = predictor.of([architecture for architecture, _ in held])
    found = {}
    for name in held[0][1]:
        true, made = (np.array([costs[name] for costs in side]) for side in ([costs for _, costs in held], predicted))
        rank = 1.0 if np.ptp(true) == 0 else float(spearmanr(true, made).statistic)
        found[name] = Agreement(rank, float(np.median(np.abs(made - true) / true)), len(held))
    return found
