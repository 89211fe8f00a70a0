"""The space of the dishes that a user wants, over the ingredients of known recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archwright.components import space_class
from archwright.errors import ConfigError
from archwright.modalities.recipes.data import RecipeData
from archwright.modalities.recipes.names import foods, found_in, names_of, normal
from archwright.modalities.recipes.plausibility import incidence

KINDS = 16  # directions of an embedding; an ingredient has the label of its strongest


@dataclass(frozen=True)
class Wishes:
    """What every dish has to be.

    Args:
        wanted: ingredients that it has (`--with`).
        without: ingredients that it must not have; of several words one is enough ("peanut" is also peanut butter),
            and so is the category ("meat").
        methods: the cooking methods that it may have; none: all.
        fewest, most: ingredients.
        most_methods: cooking methods, at most.
    """

    wanted: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    fewest: int = 3
    most: int = 6
    most_methods: int = 1

    def space(self, data: RecipeData) -> Any:
        """Return the space `recipe` of such dishes; ConfigError for wishes that contradict each other or the data."""
        given = found_in(data.ingredients, self.wanted, "--with")
        barred = {name: word for word in self.without for name in _barred(data.ingredients, word)}
        if clash := [name for name in given if name in barred]:
            raise ConfigError(f"--with {clash[0]} contradicts --without {barred[clash[0]]}; leave one of them out")
        if self.methods and not data.methods:
            raise ConfigError(f"--method {self.methods[0]}: the recipes of {data.name} say nothing of methods")
        methods = found_in(data.methods, self.methods, "--method") or data.methods
        left = [i for i, name in enumerate(data.ingredients) if name not in barred]
        if not 1 <= self.fewest <= self.most or len(given) > self.most:
            asked = f"--ingredients {self.fewest}-{self.most}, and --with gives {len(given)}"
            raise ConfigError(f"{asked}: expected FEWEST-MOST, at least 1, and no more given than MOST")
        if len(left) < self.most:
            who = f"--without leaves {len(left)}" if barred else f"the recipes of {data.name} have {len(left)}"
            raise ConfigError(f"{who} ingredients, and a dish may have {self.most}; fewer with --ingredients")
        names = tuple(data.ingredients[i] for i in left)
        x = incidence([known.ingredients for known in data.recipes], len(data.ingredients))
        tables: dict[str, Any] = {"company": labels(np.log1p((x.T @ x).toarray()))}
        if compounds := sorted({c for them in data.compounds.values() for c in them}):
            has = [[float(c in data.compounds.get(name, ())) for c in compounds] for name in data.ingredients]
            tables["flavour"] = labels(has)
        traits = {kind: {data.ingredients[i]: (table[i],) for i in left} for kind, table in tables.items()}
        traits["category"] = {name: (foods()[name].category,) for name in names if name in foods()}
        cls: Any = space_class("recipe")
        fields = {"fewest": max(self.fewest, len(given)), "most": self.most, "most_methods": self.most_methods}
        return cls.over({"ingredients": names, "methods": methods, "traits": traits}, given=given, **fields)


def _barred(ingredients: Sequence[str], word: str) -> list[str]:
    """Return the ingredients that a word stands for; ConfigError if there are none."""
    names, wanted = set(names_of(normal(word))), normal(word)
    found = [
        name
        for name in ingredients
        if names & set(names_of(name))
        or f" {wanted} " in f" {name} "
        or (name in foods() and foods()[name].category == wanted)
    ]
    return found or list(found_in(ingredients, [word], "--without"))


def labels(table: Any) -> list[str]:
    """Return a label for each row of a table: the singular direction that is strongest in it, and its sign."""
    from scipy.linalg import svd

    rows = np.asarray(table, dtype=np.float64)
    left, strength, _ = svd(rows - rows.mean(0), full_matrices=False)
    places = left[:, :KINDS] * strength[:KINDS]
    strongest = np.abs(places).argmax(1)
    return [f"{at}{'+' if row[at] > 0 else '-'}" for at, row in zip(strongest.tolist(), places, strict=True)]
