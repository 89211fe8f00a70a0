"""Recipes: how many ingredients, which ones, and how they are cooked. Nothing is trained: a model of recipes scores."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

from archwright.graph import Edge, Graph, Node
from archwright.space import Architecture, Choice, Option, Program, Space


@dataclass(frozen=True)
class Pantry:
    """What dishes are made of.

    Args:
        ingredients: their names, the most frequent first.
        methods: ways of cooking; none where recipes say nothing of them.
        traits: for each kind of trait ("category") the labels of an ingredient, for a surrogate to compare dishes by.
    """

    ingredients: tuple[str, ...]
    methods: tuple[str, ...] = ()
    traits: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict, compare=False)

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits over the names, which stand for them in an architecture."""
        return hashlib.sha256(json.dumps([self.ingredients, self.methods]).encode()).hexdigest()[:12]


FEW = Pantry(
    (
        *("onion", "potato", "chicken", "beef", "green pepper", "tomato"),
        *("egg", "rice", "pork ribs", "winter melon", "milk"),
    ),
    ("braise", "stew", "stir-fry", "boil"),
)
PANTRIES: dict[str, Pantry] = {"few": FEW}  # by the name that a space has for them


@dataclass(frozen=True)
class Recipe(Space):
    """A dish: the number of its ingredients, each of them, and its cooking methods.

    An ingredient is in a dish once: an answer that is taken already stands for the next of the vocabulary that is not.
    An ingredient depends on those before it as far as the controller makes it so.

    Args:
        pantry: the name of the ingredients and methods: that of `Recipe.over`, or "few", a dozen of them.
        fewest: ingredients of a dish, at least.
        most: ingredients of a dish, at most.
        most_methods: cooking methods of a dish, at most.
        given: ingredients that every dish has; they are not asked for.
    """

    name: ClassVar[str] = "recipe"
    reads: ClassVar[tuple[str, ...]] = ("pantry", "fewest", "most", "most_methods", "given")
    data: ClassVar[str] = "recipes"

    pantry: str = "few"
    fewest: int = 3
    most: int = 6
    most_methods: int = 1
    given: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "given", tuple(self.given))
        self.require("pantry", self.pantry in PANTRIES, "one whose recipes are loaded in this process, or few")
        stock = PANTRIES[self.pantry]
        self.require("most", self.most <= len(stock.ingredients), f"at most {len(stock.ingredients)}, all there are")
        self.require("fewest", 1 <= self.fewest <= self.most, f"at least 1 and at most {self.most}")
        unknown = set(self.given) - set(stock.ingredients)
        self.require("given", not unknown and len(set(self.given)) == len(self.given), "different ingredients of it")
        self.require("given", len(self.given) <= self.fewest, f"no more than the fewest ingredients, {self.fewest}")
        self.require("most_methods", self.most_methods >= 1, "at least 1")

    @classmethod
    def over(cls, pantry: Mapping[str, Any], **fields: Any) -> Recipe:
        """Return the dishes of what `Pantry` has these fields; it is known in this process from then on."""
        made = Pantry(**pantry)
        PANTRIES[made.id] = made
        return cls(made.id, **fields)

    @property
    def vocabularies(self) -> Mapping[str, tuple[Option, ...]]:
        stock = PANTRIES[self.pantry]
        words: dict[str, tuple[Option, ...]] = {"size": tuple(range(self.fewest, self.most + 1))}
        words["ingredient"] = stock.ingredients
        if stock.methods:
            words["method"] = stock.methods
            words["methods"] = tuple(range(1, min(self.most_methods, len(stock.methods)) + 1))
        return words

    def decide(self) -> Program:
        words = self.vocabularies
        size = yield Choice("size", words["size"], vocabulary="size", ordered=True)
        for place in range(size - len(self.given)):
            yield Choice(f"ingredient/{place + 1}", words["ingredient"], vocabulary="ingredient")
        if "method" in words:
            methods = yield Choice("methods", words["methods"], vocabulary="methods", ordered=True)
            for place in range(methods):
                yield Choice(f"method/{place + 1}", words["method"], vocabulary="method")

    def dish(self, architecture: Architecture) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the ingredients, those `given` first and then in the order asked, and the methods."""
        stock, given = PANTRIES[self.pantry], [("", name) for name in self.given]
        asked = [pair for pair in architecture.answers if pair[0].startswith("ingredient/")]
        ingredients = _different([answer for _, answer in (*given, *asked)], stock.ingredients)
        methods = [answer for name, answer in architecture.answers if name.startswith("method/")]
        return ingredients, _different(methods, stock.methods)

    def features(self, architecture: Architecture) -> Mapping[str, Mapping[Any, float]]:
        ingredients, methods = self.dish(architecture)
        found: dict[str, Mapping[Any, float]] = {"ingredients": Counter(ingredients), "cooked": Counter(methods)}
        for kind, labels in PANTRIES[self.pantry].traits.items():
            found[kind] = Counter(label for name in ingredients for label in labels.get(name, ()))
        return found

    def graphs(self, architecture: Architecture) -> tuple[Graph, ...]:
        ingredients, methods = self.dish(architecture)
        inputs = [Node(f"ingredient {i}", name, "input") for i, name in enumerate(ingredients, start=1)]
        steps = [Node(f"method {i}", name) for i, name in enumerate(methods or ("together",), start=1)]
        chain = [*steps, Node("dish", "dish", "output")]
        edges = [Edge(node.name, steps[0].name) for node in inputs]
        edges += [Edge(a.name, b.name) for a, b in pairwise(chain)]
        return (Graph(written(ingredients, methods), (*inputs, *chain), tuple(edges)),)


def written(ingredients: tuple[str, ...], methods: tuple[str, ...]) -> str:
    """Return a dish in one line: "potato + beef, braise"."""
    return ", ".join([" + ".join(ingredients), *methods])


def _different(answers: list[Any], options: tuple[str, ...]) -> tuple[str, ...]:
    """Return the answers; for one that came before, the next option that has not."""
    taken: dict[str, None] = {}
    for answer in answers:
        if answer in taken:
            at = options.index(answer)
            answer = next(option for option in (*options[at:], *options[:at]) if option not in taken)
        taken[answer] = None
    return tuple(taken)
