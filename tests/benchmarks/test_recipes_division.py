"""The division of recipes that the benchmark of rediscovery rests on."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from archwright.modalities.recipes.data import load_recipes
from recipes import ratios
from recipes_task import Task, first_different, groups
from recipes_ways import frequency, greedy


def test_near_duplicates_are_one_group() -> None:
    nine, ten = tuple(range(9)), tuple(range(10))
    small = [(1, 2, 3), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5), (1, 2, 3, 5)]
    sets = [*small, nine, ten, (*range(8), 20), (1, 2, 9, 10)]
    found = groups(sets)
    assert found[0] == found[1] != found[2]  # three of four: too few to be alike
    assert found[2] == found[3] == found[4]  # four of five
    assert found[5] == found[6] == found[7]  # one more, and one replaced of nine
    assert len(set(found)) == 4


@pytest.mark.parametrize("seed", [0, 1])
def test_parts_share_no_near_duplicates_and_hits_are_of_the_test_part(seed: int) -> None:
    data = load_recipes()
    task = Task.of(data, seed, (2, 6), 100)
    parts = [{known.ingredients for known in part.recipes} for part in (task.a, task.b, task.test)]
    assert sum(map(len, parts)) == len({known.ingredients for known in data.recipes})
    group = dict(zip((k.ingredients for k in data.recipes), groups([k.ingredients for k in data.recipes]), strict=True))
    assert not {group[one] for one in parts[0]} & {group[one] for one in parts[2]}
    known = task.test.recipes[0]
    assert task.hit((known.ingredients, known.methods[:1]))
    assert not task.hit((task.a.recipes[0].ingredients, task.a.recipes[0].methods[:1]))


def test_proposals_differ_in_ingredients_and_are_new() -> None:
    task = Task.of(load_recipes(), 0, (2, 6), 100)
    dishes = [((3, 1), (0,)), ((1, 3), (1,)), (task.a.recipes[0].ingredients, (0,)), ((5, 4, 2), (1,)), ((7, 8), (0,))]
    assert first_different(dishes, task, 2) == [((1, 3), (0,)), ((2, 4, 5), (1,))]


def test_a_quota_gives_as_many_dishes_of_each_size() -> None:
    task = Task.of(load_recipes(), 0, (2, 6), 100)
    wanted = {2: 3, 4: 5}
    for way in (frequency, greedy):
        quota = Counter(wanted)
        found = first_different(way(task, np.random.default_rng(0), quota), task, quota=quota)
        assert Counter(len(ingredients) for ingredients, _ in found) == wanted
        assert not {ingredients for ingredients, _ in found} & task.known
    few = [((1, 2), (0,)), ((3, 4), (0,)), ((5, 6, 7, 8), (0,))]
    assert len(first_different(few, task, quota=Counter({2: 1, 4: 5}))) == 2  # what there is


def test_ratios_are_of_the_same_divisions() -> None:
    def row(seed: int, way: str, hits: int) -> dict[str, object]:
        return {"seed": seed, "way": way, "hits": hits, "sets": hits, "proposals": 1000}

    rows = [row(seed, "REINFORCE", 8) for seed in (1, 2, 3)] + [row(1, "greedy", 2), row(2, "greedy", 2)]
    assert ratios(rows) == ["REINFORCE / greedy, 2 divisions: hits 4.0 [4.0, 4.0], sets 4.0 [4.0, 4.0]"]
