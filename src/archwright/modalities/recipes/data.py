"""Known recipes, as read from the user's files: JSON lines, CSV, or the arrays of Ahn et al. (2011)."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

from archwright.errors import ConfigError, DataError
from archwright.modalities.recipes.names import FOLDER, foods, names_of, normal
from archwright.report.words import counted

DISHES = "dishes"  # the recipes that come along
LARGEST = 2_000_000_000  # bytes of a file
MOST_RECIPES, MOST_INGREDIENTS, MOST_METHODS, LONGEST = 200_000, 1_000, 60, 40
FORM = 'a recipe is {"title": ..., "ingredients": [...], "methods": [...]} on a line, or a CSV row with such columns'


class Known(NamedTuple):
    """A known recipe. `ingredients`, in rising order, and `methods` number those of its `RecipeData`."""

    title: str
    ingredients: tuple[int, ...]
    methods: tuple[int, ...] = ()
    cuisine: str = ""
    rating: float | None = None


class Raw(NamedTuple):
    """A recipe as read, in names, and where it stood."""

    where: str
    title: str
    ingredients: Sequence[str]
    methods: Sequence[str] = ()
    cuisine: str = ""
    rating: float | None = None

    @property
    def parts(self) -> tuple[Sequence[str], Sequence[str]]:
        return self.ingredients, self.methods


@dataclass(frozen=True, eq=False, repr=False)
class RecipeData:
    """Known recipes over `ingredients` and `methods`, both with the most frequent first.

    `compounds` are the flavour compounds of ingredients, `nutrition` is of 100 g; either may know some of them only.
    """

    name: str
    ingredients: tuple[str, ...]
    methods: tuple[str, ...]
    recipes: tuple[Known, ...]
    compounds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    nutrition: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"RecipeData({self.split})"

    @property
    def split(self) -> str:
        """What there is, in words."""
        methods = f" and {counted(len(self.methods), 'method')}" if self.methods else ", no methods"
        return f"{len(self.recipes):,} recipes over {counted(len(self.ingredients), 'ingredient')}{methods}"

    @cached_property
    def cuisines(self) -> tuple[str, ...]:
        """The cuisines, the most frequent first."""
        return tuple(name for name, _ in Counter(known.cuisine for known in self.recipes).most_common() if name)

    @cached_property
    def nutrients(self) -> tuple[str, ...]:
        """The nutrients that are known of some ingredient."""
        return tuple(dict.fromkeys(key for row in self.nutrition.values() for key in row))

    @cached_property
    def rated(self) -> list[Known]:
        """The recipes with ratings, if there are some that differ."""
        rated = [known for known in self.recipes if known.rating is not None]
        return rated if len({known.rating for known in rated}) > 1 else []

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over everything that a search depends on."""
        digest = hashlib.blake2b(repr((self.ingredients, self.methods)).encode(), digest_size=6)
        for known in self.recipes:
            digest.update(repr(known[1:] if known.rating is not None else known[1:-1]).encode())
        for table in (self.compounds, self.nutrition):
            rows = ((name, table[name]) for name in sorted(table))
            digest.update(repr([(n, sorted(v.items() if isinstance(v, Mapping) else v)) for n, v in rows]).encode())
        return digest.hexdigest()

    def with_recipes(self, recipes: Iterable[Known]) -> RecipeData:
        """Return some of the recipes, over the same ingredients and methods."""
        return replace(self, recipes=tuple(recipes))


def load_recipes(
    source: str | Path | RecipeData | None = None,
    *,
    compounds: str | Path | None = None,
    nutrition: str | Path | None = None,
) -> RecipeData:
    """Read recipes: "dishes" (the default), a .jsonl or .csv file, or an .npz of Ahn et al. (2011).

    Ingredients and methods that are rare beyond a thousand and sixty are left out, as are recipes of fewer than two
    ingredients and repeated ones; `notes` say how many. `compounds` is a CSV with columns ingredient and compound, or
    that .npz; `nutrition` a CSV with a column ingredient, and numbers of 100 g.
    """
    if isinstance(source, RecipeData):
        return source
    name = str(source or DISHES)
    if name == DISHES:
        data = _collected(name, _from_csv(FOLDER / "dishes.csv"))
        own = {i: dict(foods()[i].nutrients) for i in data.ingredients if i in foods()}
        data = replace(data, nutrition=own)
    elif name.endswith(".npz"):
        data = _collected(name, _from_arrays(_file(name)))
    elif name.endswith((".jsonl", ".csv")):
        data = _collected(name, (_from_csv if name.endswith(".csv") else _from_lines)(_file(name)))
    else:
        raise DataError(f"{name}: recipes are a .jsonl or .csv file, an .npz of Ahn et al., or {DISHES}")
    if (table := compounds or (name if name.endswith(".npz") else None)) is not None:
        data = replace(data, compounds=_known_to(data, _compounds(_file(str(table))), str(table)))
    if nutrition is not None:
        data = replace(data, nutrition=_known_to(data, _nutrition(_file(str(nutrition))), str(nutrition)))
    return data


def _file(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise DataError(f"{name}: there is no such file")
    if (size := path.stat().st_size) > LARGEST:
        raise DataError(f"{name} has {size / 1e9:.1f} GB; at most {LARGEST / 1e9:.0f} GB are read: take a part of it")
    return path


def _from_lines(path: Path) -> Iterator[Raw]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(1_000_000):
            number += 1
            where = f"{path} line {number}"
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise DataError(f"{where} is not JSON, or longer than a million bytes; {FORM}") from None
            if not isinstance(row, dict) or "ingredients" not in row:
                has = ", ".join(map(repr, row)) if isinstance(row, dict) else type(row).__name__
                raise DataError(f"{where} has no 'ingredients', it has {has[:200]}; {FORM}")
            yield _raw(where, row)


def _from_csv(path: Path) -> Iterator[Raw]:
    for number, row in _rows(path, "ingredients"):
        yield _raw(f"{path} line {number}", row)


def _raw(where: str, row: Mapping[str, Any]) -> Raw:
    def words(key: str) -> list[str]:
        value = row.get(key) or []
        if isinstance(value, str):
            separator = next((mark for mark in ";|" if mark in value), ",")
            value = value.split(separator)
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise DataError(f"{where}: {key} is {str(value)[:80]!r}; it must be a list of names")
        return value

    text = {key: " ".join(str(row.get(key) or "").split()) for key in ("title", "cuisine")}
    return Raw(
        where, text["title"], words("ingredients"), words("methods"), normal(text["cuisine"]), _rating(where, row)
    )


def _rating(where: str, row: Mapping[str, Any]) -> float | None:
    if (value := row.get("rating")) in (None, ""):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise DataError(f"{where}: rating is {str(value)[:40]!r}; it must be a number")
    return found


def _arrays(path: Path, *names: str) -> list[Any]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except KeyError as error:
        raise DataError(f"{path} does not hold the arrays of Ahn et al. (2011): {error.args[0]}") from None
    except (OSError, ValueError, EOFError, BadZipFile):  # NumPy's words advise to unpickle it
        raise DataError(f"{path} does not hold the arrays of Ahn et al. (2011): it is no .npz, or damaged") from None


def _from_arrays(path: Path) -> Iterator[Raw]:
    names = ("recipe_ingredient_names", "recipe_indptr", "recipe_indices", "recipe_cuisine", "cuisine_names")
    ingredients, starts, indices, cuisine, cuisines = _arrays(path, *names)
    for i, (first, last) in enumerate(pairwise(starts)):
        members = [str(ingredients[j]) for j in indices[first:last]]
        yield Raw(f"{path} recipe {i}", "", members, (), normal(str(cuisines[cuisine[i]])))


def _collected(name: str, raws: Iterable[Raw]) -> RecipeData:
    """Return the recipes with their ingredients and methods numbered, but for those that cannot be used."""
    read: list[Raw] = []
    for raw in raws:
        if len(read) == MOST_RECIPES:
            raise DataError(f"{name} holds more than {MOST_RECIPES:,} recipes; take a part of it")
        ingredients, methods = (tuple(dict.fromkeys(filter(None, map(normal, part)))) for part in raw.parts)
        read.append(raw._replace(ingredients=ingredients, methods=methods))
    if not read:
        raise DataError(f"{name} holds no recipes; {FORM}")
    counts = [Counter(word for raw in read for word in raw.parts[part]) for part in (0, 1)]
    kept = [
        tuple(word for word, _ in sorted(count.items(), key=lambda item: (-item[1], item[0]))[:most])
        for count, most in zip(counts, (MOST_INGREDIENTS, MOST_METHODS), strict=True)
    ]
    number = [{word: i for i, word in enumerate(words)} for words in kept]
    known: dict[tuple[Any, ...], list[Known]] = {}  # those that are the same but for title and rating
    short = repeated = long = 0
    for raw in read:
        used, cooked = ([of[word] for word in part if word in of] for of, part in zip(number, raw.parts, strict=True))
        if not 2 <= len(used) <= LONGEST:
            short, long = short + (len(used) < 2), long + (len(used) > LONGEST)
            continue
        found = Known(raw.title or " + ".join(raw.ingredients[:4]), tuple(sorted(used)), tuple(cooked), raw.cuisine)
        repeated += found[1:] in known
        known.setdefault(found[1:], []).append(found._replace(rating=raw.rating))
    if not known:
        raise DataError(f"{name} holds no recipe of 2 to {LONGEST} ingredients; {FORM}")
    rare = sum(len(count) - len(words) for count, words in zip(counts, kept, strict=True))
    left_out = {
        f"{counted(repeated, 'recipe')} with the ingredients and methods of an earlier one": repeated,
        f"{counted(short, 'recipe')} of fewer than 2 ingredients": short,
        f"{counted(long, 'recipe')} of more than {LONGEST} ingredients": long,
        f"{counted(rare, 'ingredient or method', 'ingredients or methods')} that few recipes have": rare,
    }
    notes = tuple(f"left out: {what}" for what, number in left_out.items() if number)
    return RecipeData(name, kept[0], kept[1], tuple(map(_one, known.values())), notes=notes)


def _one(alike: Sequence[Known]) -> Known:
    """Return the first of recipes that are the same, with the mean of their ratings."""
    ratings = [known.rating for known in alike if known.rating is not None]
    return alike[0]._replace(rating=sum(ratings) / len(ratings) if ratings else None)


def _known_to(data: RecipeData, table: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the entries of a table by our ingredients' names."""
    found = {}
    for ingredient in data.ingredients:
        if match := next((other for other in names_of(ingredient) if other in table), None):
            found[ingredient] = table[match]
    if not found:
        raise DataError(f"{name} knows none of the ingredients, such as {', '.join(data.ingredients[:3])}")
    return found


def _rows(path: Path, *needed: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV with the numbers of their lines, without what is empty."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            if missing := [name for name in needed if name not in columns]:
                has = ", ".join(columns)[:200] or "none"
                raise DataError(f"{path} has no column {missing[0]!r}; its columns are {has}")
            for row in reader:
                yield reader.line_num, {key: value for key, value in row.items() if key and value}
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a CSV file in UTF-8: {error}") from None


def _compounds(path: Path) -> dict[str, frozenset[str]]:
    if path.suffix == ".npz":
        names, edges, compounds = _arrays(path, "ingredient_names", "ingr_comp_edges", "compound_names")
        pairs = [(str(names[i]), str(compounds[j])) for i, j in edges]
    else:
        rows = _rows(path, "ingredient", "compound")
        pairs = [(row.get("ingredient", ""), row.get("compound", "")) for _, row in rows]
    found: dict[str, set[str]] = {}
    for ingredient, compound in pairs:
        found.setdefault(normal(ingredient), set()).add(compound)
    return {name: frozenset(them) for name, them in found.items()}


def _nutrition(path: Path) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for number, row in _rows(path, "ingredient"):
        numbers, name = {}, row.pop("ingredient", "")
        for key, value in row.items():
            try:
                amount = float(value)
            except (TypeError, ValueError):
                continue  # a column of text, such as the food that it was matched to
            numbers[key] = max(0.0, amount)  # carbohydrate by difference may be a little below zero
            if not -1 < amount < math.inf:
                raise DataError(f"{path} line {number}: {key} is {value!r}; it must be a number from 0 up")
        found[normal(name)] = numbers
    if not any(found.values()):
        raise ConfigError(f"{path} has no numbers; expected columns such as energy_kcal and protein_g, of 100 g")
    return found
