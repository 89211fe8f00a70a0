"""A Gaussian process over architectures: what a search expects of one that has not been evaluated, and how surely.

The kernel is exp(-sum_g w_g d_g(a, b)): d_g is what two architectures do not share of multiset g (see `likeness`), in
units of its mean over the architectures evaluated. Each d_g is a symmetric difference, so the kernel is positive
definite. The weights w_g and the noise maximise the posterior, scale and mean are in closed form. Rewards enter as
normal scores of their ranks: how much better the best is does not matter, and one diverged child spoils nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from archwright.controllers.likeness import Description, Floats

JITTER = 1e-6
LEAST, MOST = math.log(1e-3), math.log(30.0)  # of a weight
NOISE = (math.log(1e-4), math.log(1.0))


@dataclass(frozen=True)
class Prior:
    """Of the logarithms of weights and noise: normal, with these means and deviations."""

    weight: float = 0.3  # all weights together
    spread: float = 1.5
    noise: float = 0.03
    noise_spread: float = 1.0


@dataclass(frozen=True)
class Weights:
    """What is fitted: the logarithm of each group's weight, and of the noise's share of the variance."""

    groups: Floats
    noise: float


def normal_scores(values: Sequence[float]) -> Floats:
    """For each value, the normal quantile of its rank; equal values share theirs."""
    x = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = last - (counts - 1) / 2  # the mean rank of equal values, from 1
    quantile = NormalDist().inv_cdf
    scores = np.array([quantile((rank - 0.5) / len(x)) for rank in ranks])
    return np.asarray(scores[inverse])


class Surrogate:
    """The process, conditioned on evaluated architectures.

    Args:
        known: the architectures.
        scores: [n], of each.
        group_of_column: of `known.marks`.
        weights: to begin the fit from; None for the prior's.
        fit: look for weights, or take them as they are.
    """

    def __init__(
        self,
        known: Description,
        scores: Floats,
        group_of_column: np.ndarray,
        *,
        weights: Weights | None = None,
        fit: bool = True,
        prior: Prior = Prior(),
    ) -> None:
        self._known, self._columns, self._prior = known, group_of_column, prior
        self._unit = _mean_distances(known, group_of_column)
        groups = known.sizes.shape[1]
        start = np.full(groups, math.log(prior.weight / groups))
        noise = math.log(prior.noise)
        if weights is not None:
            start[: len(weights.groups)] = weights.groups
            noise = weights.noise
        self.weights = Weights(start, noise)
        if fit and len(scores) > 2:
            self.weights = self._fitted(scores)
        self._condition(scores)

    def _fitted(self, scores: Floats) -> Weights:
        from scipy.optimize import minimize

        distances = _distances(self._known, self._columns, self._unit)
        groups, prior = len(distances), self._prior
        centre = math.log(prior.weight / groups)
        flat = distances.reshape(groups, -1)

        def cost(x: Floats) -> tuple[float, Floats]:
            weights, noise = np.exp(x[:-1]), math.exp(x[-1])
            n = len(scores)
            kernel = np.exp(-(weights @ flat)).reshape(n, n)
            value, by_kernel, by_noise = _evidence(kernel, noise, scores)
            by_weight = -(flat @ (by_kernel * kernel).reshape(-1)) * weights
            away, noisy = (x[:-1] - centre) / prior.spread, (x[-1] - math.log(prior.noise)) / prior.noise_spread
            value += 0.5 * float(away @ away) + 0.5 * noisy**2
            slope = np.append(by_weight + away / prior.spread, by_noise * noise + noisy / prior.noise_spread)
            return value, slope

        start = np.append(self.weights.groups, self.weights.noise)
        found = minimize(
            cost, start, jac=True, method="L-BFGS-B", bounds=[(LEAST, MOST)] * groups + [NOISE], options={"maxiter": 30}
        )
        return Weights(np.asarray(found.x[:-1]), float(found.x[-1]))

    def _condition(self, scores: Floats) -> None:
        weights = np.exp(self.weights.groups) / self._unit
        self._scaled = self._known.marks * weights[self._columns]
        self._sizes = self._known.sizes @ weights
        self._weights = weights
        kernel = self._kernel(self._known)
        n = len(scores)
        noise = math.exp(self.weights.noise)
        cholesky = np.linalg.cholesky(kernel + (noise + JITTER) * np.eye(n))
        inverse = np.linalg.inv(cholesky)
        ones, white = inverse @ np.ones(n), inverse @ scores
        self.mean = float(ones @ white / (ones @ ones))
        residual = white - self.mean * ones
        self.scale = float(residual @ residual / n)
        self._alpha = inverse.T @ residual
        self._inverse = inverse

    def _kernel(self, others: Description) -> Floats:
        shared = others.marks @ self._scaled.T
        distance = (others.sizes @ self._weights)[:, None] + self._sizes[None, :] - 2 * shared
        return np.asarray(np.exp(-distance))

    def predict(self, others: Description) -> tuple[Floats, Floats]:
        """Mean and standard deviation [n] of the scores of others; the noise is not in it."""
        kernel = self._kernel(others)
        mean = self.mean + kernel @ self._alpha
        white = kernel @ self._inverse.T
        variance = self.scale * (1 - np.einsum("ij,ij->i", white, white))
        return mean, np.sqrt(np.maximum(variance, 1e-12))


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """E[max(0, y - best)] of normal y (Mockus 1978)."""
    from scipy.special import ndtr

    z = (mean - best) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)))


def _distances(known: Description, columns: np.ndarray, unit: Floats) -> Floats:
    """[groups, n, n], each in its unit."""
    every = []
    for group in range(known.sizes.shape[1]):
        marks, sizes = known.marks[:, columns == group], known.sizes[:, group]
        every.append((sizes[:, None] + sizes[None, :] - 2 * marks @ marks.T) / unit[group])
    return np.array(every)


def _mean_distances(known: Description, columns: np.ndarray) -> Floats:
    distances = _distances(known, columns, np.ones(known.sizes.shape[1]))
    n = len(known.sizes)
    means = distances.sum((1, 2)) / max(1, n * (n - 1))
    return np.where(means > 0, means, 1.0)


def _evidence(kernel: Floats, noise: float, scores: Floats) -> tuple[float, Floats, float]:
    """Minus the log evidence with mean and scale profiled out, and its slopes by the kernel's entries and the noise."""
    n = len(scores)
    cholesky = np.linalg.cholesky(kernel + (noise + JITTER) * np.eye(n))
    whiten = np.linalg.inv(cholesky)
    inverse = whiten.T @ whiten
    by_one, by_score = inverse.sum(1), inverse @ scores
    mean = by_score.sum() / by_one.sum()
    alpha = by_score - mean * by_one
    scale = float((scores - mean) @ alpha) / n
    value = 0.5 * n * math.log(max(scale, 1e-12)) + float(np.log(np.diag(cholesky)).sum())
    slope = 0.5 * (inverse - np.outer(alpha, alpha) / max(scale, 1e-12))
    return value, slope, float(np.trace(slope))
