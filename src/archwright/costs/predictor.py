"""Predicts what networks cost as sums over their operations: what each costs is learned from measured networks.

The cost of an operation is a guess, in which its sizes (one, multiply-adds, numbers moved, weights) have a price each,
and what the guess misses, a Gaussian process. One part of that is in proportion to the guess for all operations, one
for those of a kind of similar sizes; and each kind, and each form of it, has prices of its own. A sum of its values is
normal, too, so a network that was measured is a row of a linear system. Errors are relative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from archwright.costs.operations import Operation, Operations

HELD_BACK = 4  # one in so many of the measured networks says how good the prediction is
LENGTH = 6.0  # doublings of sizes over which operations of a kind differ
# Deviations of the process's parts in units of the guess, and of the noise; that of their logarithms, and their limits.
USUAL, USUAL_NOISE, SPREAD = 0.5, 0.03, 1.0
LOGARITHMS, NOISES, STEPS = (-7.0, 4.0), (-6.0, 0.0), 80
LEAST_SHARE = 0.02  # of a network's cost that each of the guess's prices makes
Floats: TypeAlias = "NDArray[np.float64]"
Measured: TypeAlias = "Sequence[tuple[Operations, Mapping[str, float]]]"


@dataclass(frozen=True)
class Agreement:
    """How well networks that were held back were predicted: rank correlation, and median relative error."""

    spearman: float
    error: float
    count: int

    def words(self) -> str:
        """Return it as a person reads it."""
        return f"rank correlation {self.spearman:.3f}, median error {self.error:.1%} of {self.count} held back"


class Predictor:
    """Predicts costs by name.

    Args:
        measured: the operations of networks, and their costs by name, above zero.
    """

    def __init__(self, measured: Measured) -> None:
        known = [operations for operations, _ in measured]
        self._tables = {name: Table(known, np.array([costs[name] for _, costs in measured])) for name in measured[0][1]}

    def of(self, operations: Operations) -> dict[str, float]:
        """Return the predicted costs of a network."""
        return {name: table.of(operations) for name, table in self._tables.items()}


class Table:
    """What each operation costs, learned from networks with so many `operations` that cost so much, above zero."""

    def __init__(self, known: Sequence[Operations], costs: Floats) -> None:
        self._costs: dict[Operation, float] = {}
        self._least = float(costs.min()) / 2
        self._known = _Described.of(list(dict.fromkeys(one for each in known for one in each)))
        counts = np.array([[each[one] for one in self._known.operations] for each in known], dtype=float)
        shares = counts / costs[:, None]  # a row says how much of a network's cost a unit of each operation's is
        self._prices = _prices(shares @ self._known.sizes)
        residual = 1 - shares @ self._known.sizes @ self._prices
        likeness = self._known.likeness(self._known, self._prices)
        scales, alpha = _fit(np.stack([shares @ part @ shares.T for part in likeness]), residual)
        self._scales, self._weights = scales, alpha @ shares

    def of(self, operations: Operations) -> float:
        """Return the sum over a network's operations."""
        if new := [one for one in operations if one not in self._costs]:
            self._costs.update(zip(new, self._priced(_Described.of(new)).tolist(), strict=True))
        return max(self._least, sum(times * self._costs[one] for one, times in operations.items()))

    def _priced(self, those: _Described) -> Floats:
        found = those.sizes @ self._prices
        for scale, part in zip(self._scales, those.likeness(self._known, self._prices), strict=True):
            found = found + scale * part @ self._weights
        return np.asarray(found)


@dataclass(frozen=True)
class _Described:
    """Operations as numbers: `sizes` [n, 4] have a price each, `places` [n, 4] are sizes in doublings."""

    operations: Sequence[Operation]
    sizes: Floats
    places: Floats
    kinds: NDArray[np.str_]
    forms: NDArray[np.str_]

    @staticmethod
    def of(operations: Sequence[Operation]) -> _Described:
        rows = [[one.multiply_adds, one.read, one.written, one.weights] for one in operations]
        numbers = np.array(rows, dtype=float)
        moved = numbers[:, 1] + numbers[:, 2]
        sizes = np.stack([np.ones(len(numbers)), numbers[:, 0], moved, numbers[:, 3]], axis=1)
        kinds = [one.kind for one in operations]
        forms = [f"{one.kind} {one.form}" for one in operations]
        return _Described(operations, sizes, np.log2(1 + numbers), np.array(kinds), np.array(forms))

    def likeness(self, others: _Described, prices: Floats) -> Iterator[Floats]:
        """Yield how far what is learned of others holds for these, [n, others], for each part of the process."""
        guesses = np.outer(self.sizes @ prices, others.sizes @ prices)
        yield guesses
        squares = (self.places**2).sum(1)[:, None] + (others.places**2).sum(1) - 2 * self.places @ others.places.T
        near = np.exp(-0.5 * np.maximum(squares, 0.0) / LENGTH**2)
        yield guesses * near * (self.kinds[:, None] == others.kinds)
        for ours, theirs in ((self.kinds, others.kinds), (self.forms, others.forms)):
            units = _units(theirs, others.sizes, others.sizes @ prices)
            alike = (guesses + self.sizes @ (others.sizes * units**2).T) * (ours[:, None] == theirs)
            for group in np.unique(theirs):
                yield alike * (theirs == group)


def _units(groups: NDArray[np.str_], sizes: Floats, guesses: Floats) -> Floats:
    """Return for each operation the prices [n, 4] by which each size alone makes the guess of its group's mean."""
    _, places = np.unique(groups, return_inverse=True)
    means = [np.bincount(places, column) for column in (*sizes.T, guesses)]
    return np.stack([means[-1] / np.maximum(mean, 1.0) for mean in means[:-1]], axis=1)[places]


def _prices(sums: Floats) -> Floats:
    """Return prices above zero by which each row of sums, in shares of a network's cost, comes to about 1."""
    from scipy.optimize import nnls

    usual = np.maximum(sums.mean(0), 1e-30)
    found, _ = nnls(sums / usual, np.ones(len(sums)))
    return np.asarray(np.maximum(found, LEAST_SHARE) / usual)


def _fit(kernels: Floats, residual: Floats) -> tuple[Floats, Floats]:
    """Return the variances of e's parts that are most likely, and the weights of the networks."""
    from scipy.optimize import minimize

    centre, unit = np.log([*[USUAL] * len(kernels), USUAL_NOISE]), np.eye(len(residual))

    def cost(x: Floats) -> tuple[float, Floats]:
        """Minus the log evidence, and its slopes."""
        variances = np.exp(2 * x)
        cholesky = np.linalg.cholesky(np.tensordot(variances[:-1], kernels, 1) + variances[-1] * unit)
        whiten = np.linalg.inv(cholesky)
        inverse = whiten.T @ whiten
        alpha = inverse @ residual
        value = 0.5 * float(residual @ alpha) + float(np.log(np.diag(cholesky)).sum())
        slope = 0.5 * (inverse - np.outer(alpha, alpha))
        by_part = np.append(np.tensordot(kernels, slope, 2), np.trace(slope)) * 2 * variances
        away = (x - centre) / SPREAD
        return value + 0.5 * float(away @ away), by_part + away / SPREAD

    bounds = [*[LOGARITHMS] * len(kernels), NOISES]
    found = minimize(cost, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    variances = np.exp(2 * found.x)
    system = np.tensordot(variances[:-1], kernels, 1) + variances[-1] * unit
    return variances[:-1], np.linalg.solve(system, residual)


def agreement(measured: Measured) -> dict[str, Agreement]:
    """Return how well one in `HELD_BACK` of the networks is predicted from the others."""
    from scipy.stats import spearmanr

    held = measured[::HELD_BACK]
    predictor = Predictor([one for place, one in enumerate(measured) if place % HELD_BACK])
    predicted = [predictor.of(operations) for operations, _ in held]
    found = {}
    for name in held[0][1]:
        true, made = (np.array([costs[name] for costs in side]) for side in ([costs for _, costs in held], predicted))
        rank = 1.0 if np.ptp(true) == 0 else float(spearmanr(true, made).statistic)
        found[name] = Agreement(rank, float(np.median(np.abs(made - true) / true)), len(held))
    return found
