"""Scores dishes, many at a time: how plausible and how new they are, their flavour, and their nutrition."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any

import numpy as np

from archwright.errors import ChildFailure, ConfigError
from archwright.loop import Evaluator, Proposal, Result, Stateless
from archwright.modalities.recipes.data import RecipeData
from archwright.modalities.recipes.expected import Ratings, cuisine_of
from archwright.modalities.recipes.names import foods, grams
from archwright.modalities.recipes.plausibility import Dish, Plausibility, incidence
from archwright.space import Architecture

Objective = Callable[[Mapping[str, float]], float]
# Shares of the energy of protein, fat and carbohydrate in the reference intakes of an adult: 50 g, 70 g and 260 g a day
# (Regulation (EU) 1169/2011, annex XIII, part B).
REFERENCE = {"protein_g": 200 / 1870, "fat_g": 630 / 1870, "carbohydrate_g": 1040 / 1870}
ENERGY = {"protein_g": 4.0, "fat_g": 9.0, "carbohydrate_g": 4.0}  # kcal of a gram (Atwater)
REMEMBERED = 200_000  # dishes
PATIENCE = 1.0  # seconds
USUAL = 50  # known dishes


class Tasting:
    """Measures dishes against known recipes. Larger is better, but for nutrients.

    - `plausible` and `log_likelihood`: see `plausibility`;
    - `novel`: the Jaccard distance from the nearest known set of ingredients, 0 for a known one;
    - `variety`: different categories of food for each ingredient;
    - `shared_compounds` and `harmony`, where compounds are known: the mean over pairs of ingredients of the flavour
      compounds that both have (Ahn et al. 2011), and of their share of those that either has;
    - `balance`, where nutrients are known: 1 for the shares of energy of protein, fat and carbohydrate that the
      reference intakes have, 0 for none in common; and every nutrient of a portion, such as `energy_kcal`. A portion
      has the grams of each ingredient that `names.GRAMS` gives its category;
    - `cuisine`, where one is wished for: the probability of it, given the ingredients;
    - `rating`, where recipes have some: what the ingredients and methods let expect, see `Ratings`.
    """

    def __init__(self, data: RecipeData, model: Plausibility, cuisine: str | None = None) -> None:
        self.data, self.model = data, model
        self.sets = list(dict.fromkeys(known.ingredients for known in data.recipes))
        self.members = np.asarray(incidence(self.sets, len(data.ingredients)).toarray().T, dtype=np.uint8)
        self._lengths = self.members.sum(0, dtype=np.float32)
        self._cuisine = None if cuisine is None else cuisine_of(data, cuisine)
        self.ratings = Ratings.of(data) if data.rated else None

    @cached_property
    def _categories(self) -> list[str | None]:
        known = [foods().get(name) for name in self.data.ingredients]
        return [None if food is None else food.category for food in known]

    @cached_property
    def _nutrients(self) -> dict[str, np.ndarray]:
        """Return each nutrient of every ingredient, in the grams of a portion; 0 where it is not known."""
        rows = [(self.data.nutrition.get(name, {}), grams(name) / 100) for name in self.data.ingredients]
        return {key: np.array([row.get(key, 0.0) * share for row, share in rows]) for key in self.data.nutrients}

    @staticmethod
    def metrics(data: RecipeData, cuisine: str | None = None) -> tuple[str, ...]:
        """Return the names of what is measured with such data; ConfigError for a cuisine that it does not have."""
        if cuisine is not None and cuisine not in data.cuisines:
            raise ConfigError(f"--cuisine {cuisine}: the recipes have {', '.join(data.cuisines[:12]) or 'none'}")
        flavour = ("shared_compounds", "harmony") if data.compounds else ()
        wished = ("cuisine",) if cuisine else ()
        known = ("balance", *data.nutrients) if data.nutrients else ()
        rated = ("rating",) if data.rated else ()
        return ("plausible", "log_likelihood", "novel", "variety", *flavour, *known, *wished, *rated)

    def measure(self, dishes: Sequence[Dish]) -> list[dict[str, float]]:
        """Return the metrics of dishes; those of one do not depend on the others."""
        dishes = [(sorted(ingredients), methods) for ingredients, methods in dishes]
        columns: dict[str, Any] = self.model.scores(dishes)
        columns["novel"] = [self._novel(ingredients) for ingredients, _ in dishes]
        columns["variety"] = [self._variety(ingredients) for ingredients, _ in dishes]
        if self.data.compounds:
            shared = [self.shared(ingredients) for ingredients, _ in dishes]
            columns["shared_compounds"], columns["harmony"] = zip(*shared, strict=True)
        if self._nutrients:
            found = {key: [float(of[i].sum()) for i, _ in dishes] for key, of in self._nutrients.items()}
            columns |= {"balance": [_balance({k: v[row] for k, v in found.items()}) for row in range(len(dishes))]}
            columns |= found
        if self._cuisine is not None:
            columns["cuisine"] = [self._cuisine(ingredients) for ingredients, _ in dishes]
        if self.ratings is not None:
            columns["rating"] = [self.ratings(dish) for dish in dishes]
        return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]

    def likeness(self, ingredients: Sequence[int]) -> np.ndarray:
        """Return the Jaccard similarity [sets] to each of the known `sets`."""
        common = self.members[list(ingredients)].sum(0, dtype=np.uint8).astype(np.float32)
        return np.asarray(common / (self._lengths + (len(ingredients) - common)))

    def _novel(self, ingredients: Sequence[int]) -> float:
        return 1.0 - float(self.likeness(ingredients).max())

    def _variety(self, ingredients: Sequence[int]) -> float:
        return len({self._categories[i] for i in ingredients} - {None}) / len(ingredients)

    def shared(self, ingredients: Sequence[int]) -> tuple[float, float]:
        """Return the mean number of compounds that two of the ingredients share, and their mean share of all."""
        names = [self.data.compounds.get(self.data.ingredients[i], frozenset()) for i in ingredients]
        pairs = [(len(a & b), len(a | b)) for place, a in enumerate(names) for b in names[:place]]
        count = max(1, len(pairs))
        return sum(both for both, _ in pairs) / count, sum(both / max(1, either) for both, either in pairs) / count


def _balance(of: Mapping[str, float]) -> float:
    energy = {name: each * of.get(name, 0.0) for name, each in ENERGY.items()}
    total = sum(energy.values())
    return 0.0 if total <= 0 else 1 - sum(abs(energy[k] / total - share) for k, share in REFERENCE.items()) / 2


class Scoring(Stateless):
    """An evaluator: the objective of the metrics of a dish. What breaks a limit has no reward.

    Args:
        space: a `Recipe`, of ingredients and methods that the data has.
        tasting: measures.
        objective: from the metrics to the reward.
        admit: raises `ChildFailure` for metrics that a dish must not have.
    """

    def __init__(
        self, space: Any, tasting: Tasting, objective: Objective, admit: Callable[[Mapping[str, float]], None]
    ) -> None:
        self.space, self.tasting, self.objective, self.admit = space, tasting, objective, admit
        self._number = {name: i for i, name in enumerate(tasting.data.ingredients)}
        self._method = {name: i for i, name in enumerate(tasting.data.methods)}
        self._known: dict[Any, dict[str, float]] = {}
        # No better than the worst of some known dishes: a reward may be below zero.
        self.usual = tasting.measure([(known.ingredients, known.methods) for known in tasting.data.recipes[:USUAL]])
        self.failure_reward = min(0.0, *(self._result(metrics).reward for metrics in self.usual))

    def dish(self, architecture: Architecture) -> Dish:
        """Return the ingredients, in rising order, and the methods by their numbers in the data."""
        ingredients, methods = self.space.dish(architecture)
        return tuple(sorted(map(self._number.__getitem__, ingredients))), tuple(map(self._method.__getitem__, methods))

    def evaluate(self, proposal: Proposal) -> Result:
        """Score one dish."""
        return self.evaluate_all([proposal])[0]

    def evaluate_all(self, proposals: Sequence[Proposal]) -> list[Result]:
        """Score many dishes; a result does not depend on what else is scored with it."""
        dishes = [self.dish(proposal.architecture) for proposal in proposals]
        new = [dish for dish in dict.fromkeys(dishes) if dish not in self._known]
        if len(self._known) > REMEMBERED:
            self._known.clear()
            new = list(dict.fromkeys(dishes))
        self._known.update(zip(new, self.tasting.measure(new) if new else [], strict=True))
        return [self._result(self._known[dish]) for dish in dishes]

    def _result(self, metrics: Mapping[str, float]) -> Result:
        try:
            self.admit(metrics)
            return Result(float(self.objective(metrics)), metrics)
        except ChildFailure as failure:
            return Result(self.failure_reward, metrics, str(failure))


class Together:
    """An engine in this process that evaluates `workers` proposals at once: whole batches of a controller.

    The evaluator needs a method `evaluate_all`. Fewer proposals than that, the last of a budget, wait for `PATIENCE`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._waiting: list[tuple[Future[Result], Any, Proposal]] = []
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def submit(self, evaluator: Evaluator, proposal: Proposal) -> Future[Result]:
        future: Future[Result] = Future()
        with self._lock:
            self._waiting.append((future, evaluator, proposal))
            complete, first = len(self._waiting) == self.workers, len(self._waiting) == 1
        if complete:
            self._evaluate()
        elif first:
            self._timer = threading.Timer(PATIENCE, self._evaluate)
            self._timer.daemon = True
            self._timer.start()
        return future

    def _evaluate(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
            if self._timer is not None:
                self._timer.cancel()
        try:
            results = batch[0][1].evaluate_all([proposal for *_, proposal in batch]) if batch else []
        except Exception as error:
            for future, *_ in batch:
                future.set_exception(error)
            return
        for (future, *_), result in zip(batch, results, strict=True):
            future.set_result(result)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
