"""What the ingredients and methods of a dish let expect, learned from recipes: a cuisine, a rating."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archwright.modalities.recipes.data import RecipeData
from archwright.modalities.recipes.plausibility import HELD_BACK, Dish, Floats, Softmax, incidence, log_softmax

RIDGES = (np.inf, 3.0, 10.0, 30.0, 100.0, 300.0)  # of ratings; the first says that nothing can be told from a dish


def cuisine_of(data: RecipeData, cuisine: str) -> Callable[[Sequence[int]], float]:
    """Return the probability of a cuisine as a function of ingredients."""
    cooked = [known for known in data.recipes if known.cuisine]
    features = incidence([known.ingredients for known in cooked], len(data.ingredients))
    classes = np.array([[known.cuisine != cuisine, known.cuisine == cuisine] for known in cooked], dtype=float)
    head = Softmax.fit(features, classes)
    return lambda i: float(np.exp(log_softmax((head.weights[list(i)].sum(0) + head.bias)[None]))[0, 1])


@dataclass(frozen=True, eq=False)
class Ratings:
    """The rating to expect of a dish: ridge regression on its ingredients and methods.

    `explained` is the share of the variance of ratings that it explains where they were held back; what explains
    nothing is the mean of all.
    """

    mean: float
    weights: Floats  # of ingredients, then of methods
    ingredients: int
    explained: float

    @staticmethod
    def of(data: RecipeData) -> Ratings:
        """Learn from rated recipes; each fifth of them says how far to trust the others."""
        number = len(data.ingredients)
        sets = [[*known.ingredients, *(number + m for m in known.methods)] for known in data.rated]
        x, y = incidence(sets, number + len(data.methods)), np.array([known.rating for known in data.rated])
        wrong = dict.fromkeys(RIDGES, 0.0)
        for part in range(HELD_BACK):
            held = np.arange(len(y)) % HELD_BACK == part
            for ridge in RIDGES if held.any() else ():
                mean, weights = _ridge(x[~held], y[~held], ridge)
                wrong[ridge] += float(((y[held] - mean - x[held] @ weights) ** 2).sum())
        ridge = min(wrong, key=wrong.__getitem__)
        return Ratings(*_ridge(x, y, ridge), number, 1 - wrong[ridge] / max(wrong[np.inf], 1e-12))

    def __call__(self, dish: Dish) -> float:
        ingredients, methods = dish
        places = [*ingredients, *(self.ingredients + m for m in methods)]
        return self.mean + float(self.weights[places].sum())

    @property
    def words(self) -> str:
        """How much the metric says."""
        return f"rating: ingredients and methods explain {self.explained:.0%} of the variance of ratings held back"


def _ridge(x: Any, y: Floats, ridge: float) -> tuple[float, Floats]:
    """Return the mean and the weights of each column of `x` [rows, columns], drawn to 0 by `ridge`."""
    mean = float(y.mean())
    if ridge == np.inf:
        return mean, np.zeros(x.shape[1])
    gram = np.asarray((x.T @ x).toarray(), dtype=np.float64)
    return mean, np.linalg.solve(gram + ridge * np.eye(len(gram)), x.T @ (y - mean))
