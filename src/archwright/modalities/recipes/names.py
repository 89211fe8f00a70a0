"""Names of ingredients and methods: how they are compared, other names, Chinese ones, and what each food is."""

from __future__ import annotations

import csv
import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from archwright.errors import ConfigError

FOLDER = Path(__file__).parent
# Grams in a portion of a dish, by category: recipes say which ingredients, not how much.
GRAMS = {
    **{"meat": 120, "fish": 120, "vegetable": 80, "grain": 70, "legume": 50, "fruit": 80, "egg": 55, "dairy": 50},
    **{"drink": 100, "nut": 20, "sweet": 15, "sauce": 15, "fat": 10, "herb": 3, "spice": 1},
}
USUAL_GRAMS = 40  # of an ingredient whose category is not known


@dataclass(frozen=True)
class Food:
    """An ingredient that comes along: other names, the Chinese one first, and nutrients of 100 g, rounded."""

    name: str
    also: tuple[str, ...]
    category: str
    nutrients: tuple[tuple[str, float], ...]  # by name


def normal(name: str) -> str:
    """Return a name as names are compared: lower case, single spaces, nothing that cannot be printed."""
    text = unicodedata.normalize("NFKC", name).replace("_", " ").casefold()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def table(name: str) -> list[dict[str, str]]:
    """Return the rows of a table that comes along."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=1)
def foods() -> dict[str, Food]:
    """Return the ingredients that come along by each of their names."""
    found: dict[str, Food] = {}
    for row in table("ingredients.csv"):
        protein, fat, carbohydrate = (float(row[name]) for name in ("protein_g", "fat_g", "carbohydrate_g"))
        energy = 4 * protein + 9 * fat + 4 * carbohydrate  # Atwater's factors
        nutrients = {"energy_kcal": energy, "protein_g": protein, "fat_g": fat, "carbohydrate_g": carbohydrate}
        food = Food(row["name"], tuple(row["also"].split("|")), row["category"], tuple(nutrients.items()))
        for name in (food.name, *food.also):
            found.setdefault(name, food)
    return found


@lru_cache(maxsize=1)
def methods() -> dict[str, tuple[str, ...]]:
    """Return all names of the methods that come along, by each of them: the English one first, then the Chinese."""
    rows = [(row["name"], *row["also"].split("|")) for row in table("methods.csv")]
    return {name: names for names in reversed(rows) for name in names}


def names_of(name: str) -> tuple[str, ...]:
    """Return all names of an ingredient or method, this one first."""
    food = foods().get(name)
    others = (food.name, *food.also) if food is not None else methods().get(name, ())
    return tuple(dict.fromkeys((name, *others)))


def shown(name: str, language: str) -> str:
    """Return a name in a language ("en", "zh"), as far as it is known there."""
    food = foods().get(name)
    chinese = food.also[0] if food is not None else methods().get(name, (name, name))[1]
    return chinese if language == "zh" else name


def found_in(vocabulary: Sequence[str], asked: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the names of a vocabulary that were asked for, by any of their names, each once.

    Raises ConfigError, with the nearest names, for one that is not in it.
    """
    known = set(vocabulary)
    found: dict[str, None] = {}
    for word in asked:
        match = next((name for name in names_of(normal(word)) if name in known), None)
        if match is None:
            others = {other: name for name in vocabulary for other in names_of(name)}
            near = difflib.get_close_matches(normal(word), others, n=3, cutoff=0.5)
            near += [other for other in others if normal(word) in other or other in normal(word)]
            names = ", ".join(dict.fromkeys(near[:4])) or f"among others {', '.join(vocabulary[:4])}"
            raise ConfigError(f"{what} {word!r} is in none of the recipes; near it: {names}")
        found[match] = None
    return tuple(found)


def grams(name: str) -> float:
    """Return the grams of an ingredient in a portion of a dish: a rule by its category."""
    food = foods().get(name)
    return USUAL_GRAMS if food is None else GRAMS[food.category]


@lru_cache(maxsize=1)
def _titles() -> dict[str, str]:
    return {row["title"]: row["title_zh"] for row in table("dishes.csv")}


def titled(title: str, language: str) -> str:
    """Return the title of a known dish in a language, as far as it is known there."""
    return _titles().get(title, title) if language == "zh" else title
