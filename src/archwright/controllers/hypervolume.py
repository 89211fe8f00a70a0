"""Several objectives at once: hypervolume, and the improvement of it that a surrogate of each objective expects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archwright.controllers.features import Description, Floats
from archwright.controllers.surrogate import Surrogate, Weights

DIRECTIONS, SAMPLES = 64, 16
TOP = 0.75  # quantile from which the slope beyond the best value is taken


def hypervolume(values: Floats, reference: Floats) -> float:
    """Return the volume that vectors `values` [n, objectives] dominate above `reference`; larger is better."""
    above = values[(values > reference).all(1)]
    if not len(above):
        return 0.0
    if above.shape[1] == 1:
        return float(above.max() - reference[0])
    order = above[np.argsort(-above[:, -1], kind="stable")]
    volume = 0.0
    for place, top in enumerate(order[:, -1]):  # slabs of the last objective, from the highest down
        below = order[place + 1, -1] if place + 1 < len(order) else reference[-1]
        if top > below:
            volume += float(top - below) * hypervolume(order[: place + 1, :-1], reference[:-1])
    return volume


def directions(objectives: int) -> Floats:
    """Return unit vectors [directions, objectives] over the positive orthant: even for two objectives."""
    if objectives == 2:
        angles = (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS * np.pi / 2
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    found = np.abs(np.random.default_rng(0).standard_normal((4 * DIRECTIONS, objectives)))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def reaches(values: Floats, along: Floats) -> Floats:
    """Return how far each vector [..., objectives] reaches along each direction, to the power of the objectives.

    The mean of the largest over directions is the hypervolume, up to a constant (Zhang & Golovin 2020, lemma 5).
    """
    axes = [np.maximum(values[..., axis, None], 0.0) / along[:, axis] for axis in range(along.shape[1])]
    shortest = axes[0]
    for other in axes[1:]:
        shortest = np.minimum(shortest, other)
    return np.asarray(shortest ** along.shape[1])


def scaled(values: Floats) -> Floats:
    """Return an objective's values as a surrogate learns them: from their mean, in deviations.

    Of costs, which are all below zero, the logarithms are taken: they multiply where networks are wider.
    """
    if (values < 0).all():
        values = -np.log(-values)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-9))


class FrontModel:
    """A surrogate of each objective, and the hypervolume that architectures are expected to add.

    The volume is that of values scaled to 0 at the worst and 1 at the best of those evaluated. A surrogate predicts
    `scaled` values; the expectation is the mean over fixed samples of them, and over directions.
    """

    def __init__(self, known: Description, values: Floats, weights: Sequence[Weights]) -> None:
        scores = [scaled(column) for column in values.T]
        self._set(values, scores, [Surrogate(known, *pair) for pair in zip(scores, weights, strict=True)])
        self._best = reaches(self._scaled(np.stack(scores, axis=-1)), self._along).max(0)

    def _set(self, values: Floats, scores: Sequence[Floats], models: Sequence[Surrogate]) -> None:
        self._values, self._scores, self._models = values, scores, models
        self._along = directions(values.shape[1])
        self._noise = np.random.default_rng(0).standard_normal((SAMPLES, 1, values.shape[1]))

    def _scaled(self, scores: Floats) -> Floats:
        """Return values from 0 to 1, and beyond, of scores [..., objectives]."""
        found = np.empty_like(scores)
        for axis, own in enumerate(self._scores):
            order = np.argsort(own, kind="stable")
            x, y = own[order], self._values[order, axis]
            low, span = y[0], max(y[-1] - y[0], 1e-12)
            at = int(TOP * (len(x) - 1))
            slope = (y[-1] - y[at]) / max(x[-1] - x[at], 1e-9)
            beyond = np.maximum(scores[..., axis] - x[-1], 0.0) * slope
            found[..., axis] = (np.interp(scores[..., axis], x, y) + beyond - low) / span
        return found

    def expected(self, others: Description) -> Floats:
        """Return the hypervolume that each architecture is expected to add."""
        predicted = [model.predict(others) for model in self._models]
        means, deviations = (np.stack([pair[part] for pair in predicted], axis=-1) for part in (0, 1))
        reached = reaches(self._scaled(means + deviations * self._noise), self._along)
        return np.asarray(np.maximum(reached - self._best, 0.0).mean((0, 2)))

    def improvement(self, others: Description) -> Floats:
        """Return the same, or where none is expected to add anything, how near each comes."""
        found = self.expected(others)
        if found.max() > 0:
            return found
        means = np.stack([model.predict(others)[0] for model in self._models], axis=-1)
        return np.asarray((reaches(self._scaled(means), self._along) - self._best).max(-1))

    def believing(self, others: Description) -> FrontModel:
        """Return the model as if others had scored their expectation, so that the next proposals lie elsewhere."""
        made = object.__new__(FrontModel)
        made._set(self._values, self._scores, [model.believing(others) for model in self._models])
        means = np.stack([model.predict(others)[0] for model in self._models], axis=-1)
        made._best = np.maximum(self._best, reaches(self._scaled(means), self._along).max(0))
        return made
