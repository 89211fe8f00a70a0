"""A Gaussian process over architectures predicts the score of an unevaluated one, with its uncertainty.

The kernel is exp(-sum_g w_g d_g(a, b)) + sum_m v_m z_m(a) z_m(b): d_g counts the members of multiset g (see `features`)
that only one of two architectures has, and z_m is a magnitude, whose slope is normal with variance v_m. Each d_g is a
symmetric difference, so the kernel is positive definite. The weights w_g, the variances v_m and the noise maximise the
posterior, with a prior on each weight in units of one over its mean distance; scale and mean are in closed form. Scores
are normal scores of the rewards' ranks, so neither the best's margin nor a diverged child matters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from archwright.controllers.features import Description, Floats

JITTER = 1e-6
MOST_FITTED = 400  # latest architectures that weights are fitted to: the work grows with the cube of their number
STEPS = 30  # of the optimiser; more do not change the proposals visibly
LEAST, MOST = math.log(1e-3), math.log(30.0)  # of a weight, in its unit
NOISE = (math.log(1e-4), math.log(1.0))
LEAST_SLOPE, MOST_SLOPE = math.log(1e-4), math.log(10.0)  # as variance
# The prior of the logarithms, normal: the weights together, the variance of a slope, and the noise, as means and
# deviations. Wide: a sketch on NAS-Bench-201 did as well with half and with twice of each.
ALL_WEIGHTS, SPREAD = 0.3, 1.5
USUAL_SLOPE = 0.1
# Wide, too: after 3,000 s of NAS-Bench-201 a deviation of 2 had 94.28 and one of 1 94.19 (40 runs). Noise of more than
# the process explains is not believed: on `signals` it made 65.5 of 67.1 after 50 trials.
USUAL_NOISE, NOISE_SPREAD = 0.03, 2.0


@dataclass(frozen=True)
class Weights:
    """The weight of an unshared mark of each multiset, the noise, and the variance of each magnitude's slope.

    Noise and variances are shares of the scores' variance that the multisets explain.
    """

    groups: Floats
    noise: float
    slopes: Floats


def normal_scores(values: Sequence[float] | Floats) -> Floats:
    """Return the normal quantile of each value's rank; equal values share theirs."""
    x = np.asarray(values, dtype=float)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = last - (counts - 1) / 2  # the mean rank of equal values, from 1
    scores = np.array([NormalDist().inv_cdf((rank - 0.5) / len(x)) for rank in ranks])
    return np.asarray(scores[inverse])


def fit(known: Description, scores: Floats) -> Weights:
    """Return the weights of highest posterior density, a function of these architectures alone."""
    from scipy.optimize import minimize

    marks, sizes, scores = known.marks[-MOST_FITTED:], known.sizes[-MOST_FITTED:], scores[-MOST_FITTED:]
    n, groups = sizes.shape
    above = np.triu_indices(n, 1)  # distances are symmetric and zero at home: half of them is half of the work
    flat = np.empty((groups, len(above[0])))  # members of each multiset that two architectures do not share
    for group, size in enumerate(sizes.T):
        ours = marks[:, known.groups == group]
        flat[group] = (size[:, None] + size[None, :] - 2 * ours @ ours.T)[above]
    unit = flat.mean(1)
    unit = np.where(unit > 0, unit, 1.0)
    flat /= unit[:, None]
    towards = known.magnitudes[-MOST_FITTED:]
    products = np.einsum("im,jm->mij", towards, towards)
    centre = np.append(np.full(groups, math.log(ALL_WEIGHTS / groups)), np.full(len(products), math.log(USUAL_SLOPE)))

    def cost(x: Floats) -> tuple[float, Floats]:
        weights, slopes, noise = np.exp(x[:groups]), np.exp(x[groups:-1]), math.exp(x[-1])
        likeness = np.exp(-(weights @ flat))
        kernel = np.eye(n)
        kernel[above] = likeness
        kernel.T[above] = likeness
        kernel += np.tensordot(slopes, products, 1)
        value, by_kernel, by_noise = _evidence(kernel, noise, scores)
        by_weight = -2 * (flat @ (by_kernel[above] * likeness)) * weights
        by_slope = np.tensordot(products, by_kernel, 2) * slopes
        away, noisy = (x[:-1] - centre) / SPREAD, (x[-1] - math.log(USUAL_NOISE)) / NOISE_SPREAD
        value += 0.5 * float(away @ away) + 0.5 * noisy**2
        by_prior = np.append(away / SPREAD, noisy / NOISE_SPREAD)
        return value, np.concatenate([by_weight, by_slope, [by_noise * noise]]) + by_prior

    begin = np.append(centre, math.log(USUAL_NOISE))
    bounds = [*[(LEAST, MOST)] * groups, *[(LEAST_SLOPE, MOST_SLOPE)] * len(products), NOISE]
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    fitted = np.exp(found.x)
    return Weights(fitted[:groups] / unit, float(fitted[-1]), fitted[groups:-1])


class Surrogate:
    """The process, conditioned on evaluated architectures `known` with their `scores` [n].

    Multisets first seen after `weights` were fitted have the mean of the others' weights. `scale` is the variance of
    scores; the noise is a share of it.
    """

    def __init__(self, known: Description, scores: Floats, weights: Weights) -> None:
        n, groups = known.sizes.shape
        self._weights = np.append(weights.groups, np.full(groups - len(weights.groups), weights.groups.mean()))
        self._known, self._scores, self._fitted = known, scores, weights
        self.scaled = known.marks * self._weights[known.groups]
        self._sizes = known.sizes @ self._weights
        self._slopes = known.magnitudes * weights.slopes
        cholesky = np.linalg.cholesky(self._kernel(known) + (weights.noise + JITTER) * np.eye(n))
        self._whiten = np.linalg.inv(cholesky)
        ones, white = self._whiten.sum(1), self._whiten @ scores
        self._mean = float(ones @ white / (ones @ ones))
        residual = white - self._mean * ones
        self.scale = float(residual @ residual / n)
        self._alpha = self._whiten.T @ residual

    def _kernel(self, others: Description) -> Floats:
        shared = others.marks @ self.scaled.T
        distance = (others.sizes @ self._weights)[:, None] + self._sizes[None, :] - 2 * shared
        return np.asarray(np.exp(-distance) + others.magnitudes @ self._slopes.T)

    def predict(self, others: Description) -> tuple[Floats, Floats]:
        """Return mean and standard deviation [n] of others' scores, without the noise of an evaluation."""
        kernel = self._kernel(others)
        white = kernel @ self._whiten.T
        before = 1 + others.magnitudes**2 @ self._fitted.slopes  # nothing known
        variance = self.scale * (before - np.einsum("ij,ij->i", white, white))
        return self._mean + kernel @ self._alpha, np.sqrt(np.maximum(variance, 1e-12))

    def believing(self, others: Description) -> Surrogate:
        """Return the process as if others had scored their expectation, so that the next proposals lie elsewhere."""
        mean, _ = self.predict(others)
        return Surrogate(self._known.and_then(others), np.append(self._scores, mean), self._fitted)


def expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return E[max(0, y - best)] of normal y (Mockus 1978)."""
    from scipy.special import ndtr

    z = (mean - best) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)))


@dataclass(frozen=True)
class BestModel:
    """A surrogate of one objective, and the improvement over the `best` score that it expects."""

    surrogate: Surrogate
    best: float

    def expected(self, others: Description) -> Floats:
        """Return the expected improvement of each architecture."""
        return expected_improvement(*self.surrogate.predict(others), self.best)

    def improvement(self, others: Description) -> Floats:
        """Return the same, or where it is too small for a float, the mean."""
        found = self.expected(others)
        return found if found.max() > 0 else self.surrogate.predict(others)[0]

    def believing(self, others: Description) -> BestModel:
        """Return the model as if others had scored their expectation."""
        return BestModel(self.surrogate.believing(others), self.best)


def _evidence(kernel: Floats, noise: float, scores: Floats) -> tuple[float, Floats, float]:
    """Return minus the log evidence, mean and scale profiled out, and its slopes by kernel entries and noise."""
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
