"""How plausible a set of ingredients with a method is: a model of recipes, learned from known ones.

Ingredients keep company: log p(S) = sum of b_i + sum of W_ij over pairs + a term for the size of S, up to a constant (a
Boltzmann machine without hidden units). b and the symmetric W maximise the pseudo-likelihood (Besag 1975), every
ingredient's presence given the others, under a normal prior on W; the method given the ingredients is a softmax that is
linear in them. Both problems are convex.

Every fifth recipe is held back from a first fit, and says what its scores are worth: a logistic regression tells these
recipes from made-up ones. `plausible` is its probability of a real recipe where made-up ones, half of them random by
frequency and half a recipe with one part replaced, are as many. A second regression, on those random by frequency
alone, whose density is known, gives the density of recipes (noise-contrastive estimation, Gutmann & Hyvärinen 2010).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from archwright.modalities.recipes.data import LONGEST, RecipeData
from archwright.space import generator

if TYPE_CHECKING:
    from archwright.loop import State

Floats: TypeAlias = "NDArray[np.float64]"
Dish: TypeAlias = "tuple[Sequence[int], Sequence[int]]"  # ingredients and methods, by number
PRIOR = 1.0  # standard deviation of W: pairs that are e times as frequent as by chance are nothing unusual
PRIORS = (0.25, 0.5, 1.0)  # of methods
STEPS = 60  # of the optimiser
ROWS = 8192  # recipes at a time: a pass takes memory for so many times the ingredients
HELD_BACK = 5
MADE_UP = 2000  # made-up recipes of each kind, at least
AT_A_TIME = 1024  # dishes scored together


@dataclass(frozen=True, eq=False)
class Softmax:
    """Probabilities of classes, linear in features: softmax(bias + features @ weights)."""

    bias: Float[np.ndarray, " classes"]
    weights: Float[np.ndarray, "features classes"]

    @staticmethod
    def fit(features: Any, wanted: Float[np.ndarray, "rows classes"], prior: float = PRIOR) -> Softmax:
        """Return the weights of highest posterior density; `features` [rows, features] may be sparse.

        `wanted` are the classes of each row as shares of 1; `prior` is the standard deviation of a weight.
        """
        size, number = features.shape[1], wanted.shape[1]

        def cost(x: Floats) -> tuple[float, Floats]:
            bias, weights = x[:number], x[number:].reshape(size, number)
            logs = log_softmax(features @ weights + bias)
            wrong = np.exp(logs) - wanted
            slope = np.concatenate([wrong.sum(0), (features.T @ wrong).ravel() + x[number:] / prior**2])
            return float(0.5 * (x[number:] @ x[number:]) / prior**2 - (logs * wanted).sum()), slope

        begin = np.zeros(number * (size + 1))
        begin[:number] = np.log(wanted.sum(0) + 1)
        found = _minimised(cost, begin)
        return Softmax(found[:number], found[number:].reshape(size, number))

    def logs(self, features: Any) -> Float[np.ndarray, "rows classes"]:
        """Return the logarithms of the probabilities."""
        return log_softmax(features @ self.weights + self.bias)

    def log_odds(self, features: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, " rows"]:
        """Return log p(1) - log p(0) of two classes; a row's value does not depend on the other rows."""
        return np.asarray((features * (self.weights[:, 1] - self.weights[:, 0])).sum(1) + self.bias[1] - self.bias[0])


def log_softmax(scores: Float[np.ndarray, "rows classes"]) -> Float[np.ndarray, "rows classes"]:
    """Return the logarithm of the softmax of each row."""
    scores = scores - scores.max(1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(1, keepdims=True)))


def _minimised(cost: Callable[[Floats], tuple[float, Floats]], begin: Floats) -> Floats:
    from scipy.optimize import minimize

    return np.asarray(minimize(cost, begin, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": 8}).x)


def incidence(sets: Sequence[Sequence[int]], size: int) -> Any:
    """Return a sparse matrix [sets, size] of zeros and ones."""
    from scipy.sparse import csr_matrix

    starts = np.cumsum([0, *map(len, sets)])
    members = np.fromiter((i for one in sets for i in one), dtype=np.int64, count=int(starts[-1]))
    return csr_matrix((np.ones(len(members), dtype=np.float32), members, starts), shape=(len(sets), size))


def company(x: Any, begin: tuple[Floats, Floats] | None = None) -> tuple[Floats, Floats]:
    """Return b [size] and W [size, size] of sets as a sparse matrix [sets, size]."""
    sets, size = x.shape
    share = np.clip(np.asarray(x.mean(0), dtype=np.float64).ravel(), 0.5 / sets, 1 - 0.5 / sets)

    def cost(at: Floats) -> tuple[float, Floats]:
        bias, weights = at[:size], at[size:].reshape(size, size)
        narrow, low = weights.astype(np.float32), bias.astype(np.float32)
        value, by_bias, slope = 0.25 * float((weights**2).sum()) / PRIOR**2, np.zeros(size), np.zeros_like(weights)
        for first in range(0, sets, ROWS):
            part = x[first : first + ROWS]
            scores, present = part @ narrow + low, part.nonzero()
            value += float(np.logaddexp(0, scores).sum(dtype=np.float64) - scores[present].sum(dtype=np.float64))
            wrong = 1 / (1 + np.exp(-scores))
            wrong[present] -= 1
            slope += part.T @ wrong
            by_bias += wrong.sum(0, dtype=np.float64)
        slope = (slope + slope.T + weights / PRIOR**2) / 2  # a pair has two places
        np.fill_diagonal(slope, 0)
        return value, np.concatenate([by_bias, slope.ravel()])

    b, w = begin or (np.log(share / (1 - share)), np.zeros((size, size)))
    found = _minimised(cost, np.concatenate([b, w.ravel()]))
    return found[:size], found[size:].reshape(size, size)


@dataclass(frozen=True, eq=False)
class Terms:
    """What a dish is judged by: its pairs, ingredients and methods. One more row or column of zeros is for padding.

    Args:
        bias, pairs: b [ingredients + 1] and W [ingredients + 1, ingredients + 1].
        shares: the logarithm of each ingredient's share of all uses [ingredients + 1].
        sizes: the logarithm of the share of recipes with so many ingredients [LONGEST + 1].
        method_bias, method_weights: of the softmax [methods], [ingredients + 1, methods].
        method_shares: the logarithm of each method's share [methods + 1].
    """

    bias: Floats
    pairs: Floats
    shares: Floats
    sizes: Floats
    method_bias: Floats
    method_weights: Floats
    method_shares: Floats

    @staticmethod
    def of(dishes: Sequence[Dish], data: RecipeData, begin: Terms | None = None) -> Terms:
        """Learn from dishes over the ingredients and methods of the data; `begin` is near the answer."""
        size, methods = len(data.ingredients), len(data.methods)
        x = incidence([ingredients for ingredients, _ in dishes], size)
        b, w = company(x, None if begin is None else (begin.bias[:-1], begin.pairs[:-1, :-1]))
        uses, lengths = np.asarray(x.sum(0), dtype=np.float64).ravel(), np.diff(x.indptr)
        cooked = [row for row, (_, used) in enumerate(dishes) if used]
        wanted = np.eye(methods)[[dishes[row][1][0] for row in cooked]]
        head, counts = Softmax(np.zeros(methods), np.zeros((size, methods))), wanted.sum(0)
        if cooked:
            head = _fitting(x[cooked], wanted)
        return Terms(
            np.append(b, 0.0),
            np.pad(w, (0, 1)),
            np.append(np.log((uses + 0.5) / (uses + 0.5).sum()), 0.0),
            np.log((np.bincount(lengths, minlength=LONGEST + 1) + 0.5) / len(dishes)),
            head.bias,
            np.pad(head.weights, ((0, 1), (0, 0))),
            np.append(np.log((counts + 0.5) / (counts + 0.5).sum()), 0.0),
        )

    def features(self, dishes: Sequence[Dish]) -> tuple[Float[np.ndarray, "dishes features"], Floats, Floats]:
        """Return what tells real dishes from made-up ones, the lift of the methods last; the log density of the
        ingredients if they are random by frequency; and log p(methods | ingredients)."""
        from scipy.special import gammaln

        if len(dishes) > AT_A_TIME:
            parts = [self.features(dishes[i : i + AT_A_TIME]) for i in range(0, len(dishes), AT_A_TIME)]
            columns, random, methods = (np.concatenate(part) for part in zip(*parts, strict=True))
            return columns, random, methods
        last = len(self.shares) - 1
        members = padded([ingredients for ingredients, _ in dishes], last)
        number = (members < last).sum(1)
        each = self.pairs[members[:, :, None], members[:, None, :]].sum(2)  # of every member with the others
        pairs, bias, shares = each.sum(1) / 2, self.bias[members].sum(1), self.shares[members].sum(1)
        weakest = np.where(members < last, each + self.bias[members], np.inf).min(1)
        used = padded([methods for _, methods in dishes], len(self.method_shares) - 1)
        methods = self.method_logs(members)[np.arange(len(dishes))[:, None], used].sum(1)
        lift = methods - self.method_shares[used].sum(1)
        figures = np.stack([pairs, pairs / number, bias, shares, weakest], axis=1)
        random = shares + gammaln(number + 1) + self.sizes[number]
        return np.concatenate([figures, np.eye(LONGEST + 1)[number], lift[:, None]], axis=1), random, methods

    def method_logs(self, members: Int[np.ndarray, "dishes width"]) -> Float[np.ndarray, "dishes methods_and_none"]:
        """Return log p(method | ingredients), and a column of zeros for padding."""
        if not len(self.method_bias):
            return np.zeros((len(members), 1))
        logs = log_softmax(self.method_weights[members].sum(1) + self.method_bias)
        return np.concatenate([logs, np.zeros((len(members), 1))], axis=1)

    def drawn(self, number: int, rng: np.random.Generator, *, without: Sequence[int] = ()) -> list[int]:
        """Draw different ingredients by frequency."""
        keys = self.shares[:-1] + rng.gumbel(size=len(self.shares) - 1)
        keys[list(without)] = -np.inf
        return [int(i) for i in np.argsort(-keys)[:number]]

    def drawn_methods(self, number: int, rng: np.random.Generator) -> list[int]:
        """Draw different methods by frequency."""
        return [int(i) for i in np.argsort(-self.method_shares[:-1] - rng.gumbel(size=len(self.method_bias)))[:number]]


def padded(sets: Sequence[Sequence[int]], filling: int) -> Int[np.ndarray, "sets width"]:
    """Return rows of one width, such that the sum over a row does not depend on how long other rows are."""
    width = 8 * max(1, -(-max(map(len, sets), default=0) // 8))  # numpy adds eight columns at a time
    rows = np.full((len(sets), width), filling, dtype=np.int64)
    for row, one in zip(rows, sets, strict=True):
        row[: len(one)] = one
    return rows


@dataclass(frozen=True, eq=False)
class Plausibility:
    """How plausible dishes are. Dishes are ingredients and methods by their numbers in the data learned from."""

    terms: Terms
    judge: Softmax
    contrast: Softmax

    @staticmethod
    def learned(data: RecipeData, seed: int = 0) -> Plausibility:
        """Learn from all recipes of the data; the seed draws which are held back, and the made-up ones."""
        rng = generator((seed, len(data.recipes)))
        dishes = [(known.ingredients, known.methods) for known in data.recipes]
        order = rng.permutation(len(dishes))
        held = [dishes[i] for i in order[::HELD_BACK]]
        seen = [dishes[i] for place, i in enumerate(order) if place % HELD_BACK]
        first = Terms.of(seen or held, data)
        times = -(-MADE_UP // len(held))
        random = [random_dish(dish, first, rng) for dish in held * times]
        changed = [changed_dish(dish, first, rng) for dish in held * times]
        real = np.repeat(first.features(held)[0], times, axis=0)
        contrast = _told_apart(real[:, :-1], first.features(random)[0][:, :-1])
        judge = _told_apart(np.concatenate([real, real]), first.features(random + changed)[0])
        return Plausibility(Terms.of(dishes, data, first), judge, contrast)

    def scores(self, dishes: Sequence[Dish]) -> dict[str, Floats]:
        """Return `plausible` (0 to 1) and `log_likelihood` of dishes; each depends on its own dish only."""
        features, random, methods = self.terms.features(dishes)
        likelihood = self.contrast.log_odds(features[:, :-1]) + random + methods
        return {"plausible": 1 / (1 + np.exp(-self.judge.log_odds(features))), "log_likelihood": likelihood}

    def completions(self, ingredients: Sequence[int]) -> Float[np.ndarray, " ingredients"]:
        """Return how well each ingredient completes a set: its log odds given the set; -inf for those in it."""
        odds = self.terms.bias[:-1] + self.terms.pairs[list(ingredients), :-1].sum(0)
        odds[list(ingredients)] = -np.inf
        return np.asarray(odds)

    def state_dict(self) -> State:
        """Return everything learned."""
        parts = {"judge": self.judge, "contrast": self.contrast, "terms": self.terms}
        return {name: dict(vars(part)) for name, part in parts.items()}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Plausibility:
        """Return the model of a `state_dict`."""
        made = {name: {key: np.asarray(value) for key, value in part.items()} for name, part in state.items()}
        return Plausibility(Terms(**made["terms"]), Softmax(**made["judge"]), Softmax(**made["contrast"]))


def _told_apart(real: Floats, made_up: Floats) -> Softmax:
    """Return the logistic regression of real against made-up dishes, as many of both."""
    classes = np.repeat([[0.0, 1.0], [1.0, 0.0]], [len(real), len(made_up)], axis=0)
    return Softmax.fit(np.concatenate([real, made_up]), classes)


def _fitting(features: Any, wanted: Float[np.ndarray, "rows classes"]) -> Softmax:
    """Return a softmax with the prior of `PRIORS` that predicts every fifth row best from the others."""
    rows = np.arange(len(wanted))
    held, seen = rows[::HELD_BACK], rows[rows % HELD_BACK > 0]
    if not len(seen):
        return Softmax.fit(features, wanted)

    def worth(prior: float) -> float:
        return float((Softmax.fit(features[seen], wanted[seen], prior).logs(features[held]) * wanted[held]).sum())

    return Softmax.fit(features, wanted, max(PRIORS, key=worth))


def random_dish(dish: Dish, terms: Terms, rng: np.random.Generator) -> Dish:
    """Return a dish of the same size, random by frequency."""
    return terms.drawn(len(dish[0]), rng), terms.drawn_methods(len(dish[1]), rng)


def changed_dish(dish: Dish, terms: Terms, rng: np.random.Generator) -> Dish:
    """Return a dish with one ingredient, or where it has methods every third time these, replaced by frequency."""
    ingredients, methods = dish
    if methods and rng.random() < 1 / 3:
        return ingredients, terms.drawn_methods(len(methods), rng)
    place = int(rng.integers(len(ingredients)))
    rest = [*ingredients[:place], *ingredients[place + 1 :]]
    return rest + terms.drawn(1, rng, without=ingredients), methods
