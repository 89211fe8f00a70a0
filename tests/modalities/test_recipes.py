"""Recipes: names, files, the model, and scores that do not depend on what is scored together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archwright.controllers.random import Random
from archwright.errors import ArchwrightError, ConfigError, DataError
from archwright.loop import Inline, Trial, Trials, run
from archwright.modalities import modality, read
from archwright.modalities.recipes.data import RecipeData, load_recipes
from archwright.modalities.recipes.expected import Ratings
from archwright.modalities.recipes.explain import explained, reasons, title_of
from archwright.modalities.recipes.names import foods, found_in, methods, shown
from archwright.modalities.recipes.pantry import Wishes
from archwright.modalities.recipes.plausibility import Dish, Plausibility
from archwright.modalities.recipes.scoring import Scoring, Tasting, Together


@pytest.fixture(scope="module")
def tasting() -> Tasting:
    data = load_recipes()
    return Tasting(data, Plausibility.learned(data))


def dish(data: RecipeData, *names: str, method: str) -> Dish:
    return tuple(sorted(map(data.ingredients.index, names))), (data.methods.index(method),)


def test_the_dishes_that_come_along_are_in_both_languages() -> None:
    data = load_recipes()
    assert 150 <= len(data.recipes) < 250
    assert set(data.ingredients) <= set(foods())
    assert set(data.methods) <= set(methods())
    assert all(any("\u4e00" <= c <= "\u9fff" for c in shown(name, "zh")) for name in (*data.ingredients, *data.methods))
    known = {
        (frozenset(data.ingredients[i] for i in k.ingredients), *(data.methods[m] for m in k.methods))
        for k in data.recipes
    }
    for wish in (({"potato", "beef"}, "braise"), ({"potato", "green pepper", "chicken"}, "braise")):
        assert any(wish[0] <= ingredients and wish[1] in cooked for ingredients, *cooked in known)
    for fruit in ("strawberry", "grape"):
        assert (frozenset({fruit, "cheese", "milk", "tea"}), "blend") in known


def test_names_are_found_in_either_language_and_the_nearest_are_named() -> None:
    data = load_recipes()
    assert found_in(data.ingredients, ["土豆", "Potato", "green_bell_pepper"], "--with") == ("potato", "green pepper")
    assert found_in(data.methods, ["红烧", "stir fry"], "--method") == ("braise", "stir-fry")
    with pytest.raises(ConfigError, match=r"--with 'potatto' is in none of the recipes; near it: potato"):
        found_in(data.ingredients, ["potatto"], "--with")


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        (Wishes(wanted=("peanut",), without=("花生",)), "--with peanut contradicts --without 花生"),
        (Wishes(wanted=("beef",), without=("meat",)), "--with beef contradicts --without meat"),
        (Wishes(fewest=5, most=4), "--ingredients 5-4"),
        (Wishes(wanted=("beef", "potato", "egg"), fewest=1, most=2), "no more given than MOST"),
        (Wishes(methods=("knit",)), "--method 'knit' is in none"),
        (Wishes(without=("stone",)), "--without 'stone' is in none"),
        (Wishes(most=400, fewest=3), "the recipes of dishes have 196 ingredients, and a dish may have 400"),
        (Wishes(most=196, fewest=3, without=("meat",)), "--without leaves"),
    ],
)
def test_wishes_that_contradict_each_other_are_one_line(wishes: Wishes, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        wishes.space(load_recipes())


def test_without_is_for_every_name_that_has_the_word(tasting: Tasting) -> None:
    space = Wishes(without=("pepper",)).space(tasting.data)
    assert not any("pepper" in name.split() for name in space.vocabularies["ingredient"])
    assert "eggplant" in Wishes(without=("egg",)).space(tasting.data).vocabularies["ingredient"]


FILES = {
    "empty.jsonl": ("", "holds no recipes"),
    "empty.csv": ("", "has no column .ingredients.; its columns are none"),
    "words.jsonl": ("potato\n", "line 1 is not JSON"),
    "other.jsonl": ('{"name": "a", "parts": []}\n', "line 1 has no 'ingredients', it has 'name', 'parts'"),
    "list.jsonl": ("[1]\n", "has no 'ingredients', it has list"),
    "number.jsonl": ('{"ingredients": 3}\n', "ingredients is '3'; it must be a list of names"),
    "other.csv": ("dish,parts\na,b\n", "has no column 'ingredients'; its columns are dish, parts"),
    "one.csv": ("ingredients\negg\n", "no recipe of 2 to 40 ingredients"),
    "rated.jsonl": (
        '{"ingredients": ["egg", "milk"], "rating": "good"}\n',
        "line 1: rating is 'good'; it must be a number",
    ),
    "rated.csv": ("ingredients,rating\negg;milk,nan\n", "line 2: rating is 'nan'; it must be a number"),
    "noise.npz": ("PK and nothing else", "Ahn et al. .2011.: it is no .npz, or damaged"),
    "photo.png": ("", "recipes are a .jsonl or .csv file"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_recipes_is_one_line(tmp_path: Path, name: str) -> None:
    content, says = FILES[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=says) as caught:
        load_recipes(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_recipes_are_read_from_lines_and_tables_and_repeated_ones_count_once(tmp_path: Path) -> None:
    rows = [
        {"title": "Omelette", "ingredients": ["Egg", "butter "], "methods": ["fry"]},
        {"ingredients": ["egg", "milk"]},
    ]
    (tmp_path / "r.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, rows[0], {"ingredients": ["egg"]}])
    )
    data = load_recipes(tmp_path / "r.jsonl")
    assert [known.title for known in data.recipes] == ["Omelette", "egg + milk"]
    assert data.ingredients == ("egg", "butter", "milk")
    assert data.notes == (
        "left out: 1 recipe with the ingredients and methods of an earlier one",
        "left out: 1 recipe of fewer than 2 ingredients",
    )
    (tmp_path / "r.csv").write_text('title,ingredients,methods\nOmelette,egg;butter,fry\n,"egg, milk",\n')
    assert load_recipes(tmp_path / "r.csv").recipes == data.recipes
    (tmp_path / "n.csv").write_text("ingredient,energy_kcal,food\negg,150,Egg\nbutter,,Butter\n")
    (tmp_path / "c.csv").write_text("ingredient,compound\negg,a\nbutter,a\nbutter,b\n")
    full = load_recipes(tmp_path / "r.jsonl", nutrition=tmp_path / "n.csv", compounds=tmp_path / "c.csv")
    assert full.nutrition == {"egg": {"energy_kcal": 150.0}, "butter": {}}
    assert full.fingerprint != data.fingerprint
    for table, says in (("r.csv", "has no column 'ingredient'"), ("missing.csv", "there is no such file")):
        with pytest.raises(ArchwrightError, match=says):
            load_recipes(tmp_path / "r.jsonl", compounds=tmp_path / table)
    (tmp_path / "bad.csv").write_text("ingredient,energy_kcal\negg,-3\n")
    with pytest.raises(DataError, match="energy_kcal is '-3'; it must be a number from 0 up"):
        load_recipes(tmp_path / "r.jsonl", nutrition=tmp_path / "bad.csv")


def rated(tmp_path: Path, rating: Callable[[list[int], float], float]) -> RecipeData:
    """Return 300 recipes of five of fifteen foods; `rating` gets these and noise."""
    rng = np.random.default_rng(0)
    drawn = [sorted(rng.permutation(15)[:5].tolist()) for _ in range(300)]
    rows = [
        {"ingredients": [f"food {i}" for i in one], "rating": rating(one, noise)}
        for one, noise in zip(drawn, rng.normal(size=300).tolist(), strict=True)
    ]
    (tmp_path / "rated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_recipes(tmp_path / "rated.jsonl")


def test_ratings_that_ingredients_explain_are_expected_of_dishes(tmp_path: Path) -> None:
    data = rated(tmp_path, lambda foods, noise: 3.0 + (1 in foods) + 0.1 * noise)
    found, at = Ratings.of(data), data.ingredients.index
    assert 0.9 < found.explained < 1
    assert found(((at("food 1"), at("food 2")), ())) - found(((at("food 0"), at("food 2")), ())) > 0.8


def test_ratings_that_nothing_explains_are_about_their_mean(tmp_path: Path) -> None:
    data = rated(tmp_path, lambda foods, noise: noise)
    found = Ratings.of(data)
    assert 0 <= found.explained < 0.02
    mean = np.mean([known.rating for known in data.rated])
    assert found(((0, 1, 2, 3, 4), ())) == pytest.approx(mean, abs=0.15)


def test_repeated_recipes_have_the_mean_of_their_ratings(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("ingredients,rating\negg;milk,2\nmilk;egg,5\negg;milk,\negg;tea,\n")
    data = load_recipes(tmp_path / "r.csv")
    assert [known.rating for known in data.recipes] == [3.5, None]
    assert not data.rated  # one rating says nothing of what is better


def test_recipes_are_a_kind_of_data_that_is_described() -> None:
    description, lines = modality(read("dishes", seed=0)).describe()
    assert description["recipes"] == len(load_recipes().recipes)
    assert any("archwright cook" in line for line in lines)
    with pytest.raises(ConfigError, match="limit is not for recipes"):
        read("dishes", seed=0, limit=3)


def test_known_company_is_more_plausible_than_strangers(tasting: Tasting) -> None:
    data = tasting.data
    known, strange = (
        tasting.measure([one])[0]
        for one in (
            dish(data, "tomato", "mozzarella", "basil", "olive oil", method="mix"),
            dish(data, "strawberry", "fish sauce", "chestnut", "beet", method="brew"),
        )
    )
    assert known["plausible"] > 0.8 > 0.4 > strange["plausible"]
    assert known["novel"] == 0 < strange["novel"]
    assert known["log_likelihood"] > strange["log_likelihood"]
    completing = tasting.model.completions([data.ingredients.index(name) for name in ("tomato", "mozzarella")])
    assert data.ingredients.index("basil") in np.argsort(-completing)[:10]


def test_a_model_is_the_same_after_it_was_stored(tasting: Tasting) -> None:
    from archwright.states import pack, unpack

    again = Plausibility.from_state(unpack(pack(tasting.model.state_dict())))
    dishes = [(known.ingredients, known.methods) for known in tasting.data.recipes]
    ours, theirs = tasting.model.scores(dishes), again.scores(dishes)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_scores_do_not_depend_on_what_is_scored_with_them(tasting: Tasting) -> None:
    dishes: list[Dish] = [(known.ingredients, known.methods) for known in tasting.data.recipes[:20]]
    dishes.append((tuple(range(30)), (0,)))  # it makes the table wider
    together = tasting.measure(dishes)
    assert together == [tasting.measure([one])[0] for one in dishes]
    assert set(together[0]) == set(Tasting.metrics(tasting.data))


def test_an_engine_for_batches_gives_what_one_at_a_time_gives(tasting: Tasting) -> None:
    space = Wishes().space(tasting.data)

    def trials(engine: Inline | Together) -> list[tuple[int, float]]:
        scoring = Scoring(space, tasting, lambda m: m["plausible"], lambda m: None)
        events = run(Random(space, batch=8), scoring, budget=Trials(20), engine=engine)  # the last batch is not whole
        return [(event.number, event.reward) for event in events if isinstance(event, Trial)]

    assert trials(Together(8)) == trials(Inline())


def test_a_dish_is_explained_in_both_languages(tasting: Tasting) -> None:
    one = dish(tasting.data, "potato", "beef", "onion", "tea", method="braise")
    found = explained(tasting, one, tasting.measure([one])[0])
    assert found["nearest"][0]["title"] == "Braised beef with potatoes"
    assert ["potato", "tea"] in [sorted(pair) for pair in found["new_pairs"]]
    lift = next(pair for pair in found["pairs"] if set(pair["pair"]) == {"potato", "beef"})
    sets = tasting.sets
    both, each = (
        sum({*map(tasting.data.ingredients.index, names)} <= set(s) for s in sets)
        for names in (("potato", "beef"), ("potato",))
    )
    other = sum(tasting.data.ingredients.index("beef") in s for s in sets)
    assert lift["lift"] == pytest.approx(both * len(sets) / (each * other))
    assert title_of(found, "zh").endswith("烧")
    assert {about for about, _ in reasons(found, "en")} == {"near", "carried by", "nutrition", "new"}
    assert any("土豆烧牛肉" in text for _, text in reasons(found, "zh"))
