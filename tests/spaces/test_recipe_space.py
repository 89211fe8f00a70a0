"""Laws of the space of dishes."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.errors import SpaceError
from archwright.report.text import as_text
from archwright.space import Architecture, check, count, mutate, replay, sample
from archwright.spaces import Recipe
from archwright.spaces.recipe import FEW

SPACE = Recipe(fewest=2, most=5, most_methods=2, given=("potato",))


@given(st.integers(0, 10_000))
def test_a_dish_has_the_ingredients_given_and_each_once(seed: int) -> None:
    architecture = mutate(SPACE, sample(SPACE, seed), seed)
    ingredients, methods = SPACE.dish(check(SPACE, architecture))
    assert ingredients[0] == "potato"
    assert len(ingredients) == len(set(ingredients)) == architecture["size"]
    assert len(methods) == len(set(methods)) == architecture["methods"]
    assert set(ingredients) <= set(FEW.ingredients)
    assert set(methods) <= set(FEW.methods)


def test_an_answer_that_is_taken_stands_for_the_next_ingredient() -> None:
    asked = {"size": 4, "ingredient/1": "potato", "ingredient/2": "beef", "ingredient/3": "winter melon"}
    architecture = replay(SPACE, {**asked, "methods": 1, "method/1": "stew"})
    assert SPACE.dish(architecture) == (("potato", "chicken", "beef", "winter melon"), ("stew",))
    last = replay(SPACE, {**asked, "ingredient/3": "milk", "ingredient/2": "milk", "methods": 1, "method/1": "stew"})
    assert SPACE.dish(last)[0] == ("potato", "chicken", "milk", "onion")  # the first follows the last


def test_answers_are_counted_without_walking_them() -> None:
    n, m = len(FEW.ingredients), len(FEW.methods)
    assert count(SPACE) == sum(n ** (size - 1) for size in range(2, 6)) * (m + m**2)
    assert count(Recipe(fewest=3, most=3)) == n**3 * m > comb(n, 3) * m


def test_a_pantry_is_known_by_its_names() -> None:
    space = Recipe.over(
        {"ingredients": ("rice", "egg", "leek"), "traits": {"kind": {"egg": ("animal",)}}}, fewest=2, most=2
    )
    architecture = sample(space, 1)
    assert "method" not in space.vocabularies
    assert Architecture.from_json(architecture.to_json()) == architecture
    assert Recipe(**dict(architecture.fields)) == space
    assert space.features(replay(space, {"size": 2, "ingredient/1": "egg", "ingredient/2": "egg"}))["kind"] == {
        "animal": 1
    }
    assert as_text(space.graphs(architecture)[0])
    with pytest.raises(SpaceError, match="pantry is 'elsewhere'; it must be one whose recipes are loaded"):
        Recipe("elsewhere")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"most": 50}, "most is 50; it must be at most 11"),
        ({"fewest": 7}, "fewest is 7; it must be at least 1 and at most 6"),
        ({"given": ("stone",)}, "given is"),
        ({"given": ("beef", "beef", "rice")}, "given is"),
        ({"given": ("beef", "onion", "rice", "egg")}, "no more than the fewest"),
        ({"most_methods": 0}, "most_methods is 0"),
    ],
)
def test_fields_are_checked(fields: dict[str, object], says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        Recipe(**fields)  # type: ignore[arg-type]
