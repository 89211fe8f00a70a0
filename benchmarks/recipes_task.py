"""A division of recipes: a part to learn from, one for a judge, one to find again (benchmarks/recipes.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from archwright.modalities.recipes.data import Known, RecipeData
from archwright.modalities.recipes.pantry import Wishes
from archwright.modalities.recipes.plausibility import Dish, Plausibility
from archwright.modalities.recipes.scoring import Scoring, Tasting

PROPOSALS = 1000


def groups(sets: Sequence[tuple[int, ...]]) -> list[int]:
    """Return a number for each set, the same for near duplicates."""
    parent = list(range(len(sets)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    whole: dict[tuple[int, ...], int] = {}
    for at, one in enumerate(sets):
        parent[root(at)] = root(whole.setdefault(one, at))
    replaced: dict[tuple[int, ...], int] = {}
    for at, one in enumerate(sets):
        for place in range(len(one) if len(one) >= 5 else 0):
            less = one[:place] + one[place + 1 :]
            if less in whole:
                parent[root(at)] = root(whole[less])
            if len(one) >= 9:
                parent[root(at)] = root(replaced.setdefault(less, at))
    return [root(at) for at in range(len(sets))]


@dataclass(frozen=True, eq=False)
class Task:
    """One division of the recipes, and the model of part A."""

    a: RecipeData
    b: RecipeData
    test: RecipeData
    seed: int
    sizes: tuple[int, int]
    trials: int

    @staticmethod
    def of(data: RecipeData, seed: int, sizes: tuple[int, int], trials: int) -> Task:
        group = groups([known.ingredients for known in data.recipes])
        counts, rng = Counter(group), np.random.default_rng(seed)
        part_of = dict(zip(sorted(counts), rng.integers(3, size=len(counts)).tolist(), strict=True))
        largest, most = counts.most_common(1)[0]
        if most > len(group) / 10:
            part_of[largest] = 0
        parts: list[list[Known]] = [[], [], []]
        for known, of in zip(data.recipes, group, strict=True):
            parts[part_of[of]].append(known)
        a, b, test = (data.with_recipes(part) for part in parts)
        return Task(a, b, test, seed, sizes, trials)

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What one way to propose leaves for others: an imitated policy, the dishes that were evaluated."""
        return {}

    @cached_property
    def found_sizes(self) -> dict[str, Counter[int]]:
        """How many of a way's proposals have each size."""
        return {}

    @cached_property
    def model(self) -> Plausibility:
        return Plausibility.learned(self.a, self.seed)

    @cached_property
    def space(self) -> Any:
        return Wishes(fewest=self.sizes[0], most=self.sizes[1]).space(self.a)

    @cached_property
    def scoring(self) -> Scoring:
        return Scoring(self.space, Tasting(self.a, self.model), lambda m: m["log_likelihood"], lambda m: None)

    @cached_property
    def known(self) -> set[tuple[int, ...]]:
        return {known.ingredients for known in self.a.recipes}

    @cached_property
    def truth(self) -> dict[tuple[int, ...], set[int]]:
        found: dict[tuple[int, ...], set[int]] = {}
        for known in self.test.recipes:
            if known.ingredients not in self.known:
                found.setdefault(known.ingredients, set()).update(known.methods[:1])
        return found

    def hit(self, dish: Dish) -> bool:
        methods = self.truth.get(tuple(dish[0]))
        return methods is not None and (not self.a.methods or bool(methods & set(dish[1])))

    def score(self, dishes: Sequence[Dish]) -> np.ndarray:
        return self.model.scores([(sorted(i), m) for i, m in dishes])["log_likelihood"]


def first_different(
    dishes: Iterable[Dish], task: Task, count: int = PROPOSALS, quota: Counter[int] | None = None
) -> list[Dish]:
    """Return the first dishes of different ingredients that are no recipe of A.

    A `quota` has how many of each size are still wanted; it counts down, so that a source can look at it.
    """
    found: dict[tuple[int, ...], Dish] = {}
    for ingredients, methods in dishes:
        key = tuple(sorted(ingredients))
        if key in task.known or key in found or (quota is not None and not quota[len(key)]):
            continue
        found[key] = (key, tuple(methods))
        if quota is not None:
            quota[len(key)] -= 1
        if len(found) == count or (quota is not None and not quota.total()):
            break
    return list(found.values())


def ordered(dishes: Iterable[Dish], task: Task) -> list[Dish]:
    """Return the dishes, each once, the largest likelihood first."""
    unique = list(dict.fromkeys((tuple(sorted(ingredients)), tuple(methods)) for ingredients, methods in dishes))
    return [unique[i] for i in np.argsort(-task.score(unique), kind="stable")]
