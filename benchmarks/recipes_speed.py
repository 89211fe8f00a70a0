"""Speed of a search for dishes, and which of the dishes that archwright was asked for it writes again.

    python benchmarks/recipes_speed.py score [--data DIR/ahn2011_flavor_network.npz] [--proposals 100000]
    python benchmarks/recipes_speed.py search [--data ...] [--trials 20000]
    python benchmarks/recipes_speed.py dishes [--seeds 1] [--trials 1000]

`score`: random proposals through the loop, scored in batches of 500 by its engine, without a store. `search`: REINFORCE
with every trial in a run folder. Both say seconds on the clock and of the processor.

`dishes`: for each dish, its first ingredient is asked for (`--with`), with the objective `plausible`. Once all known
dishes teach the model, once all but that one. It comes out where a dish shown, or any of the trials, has its main
ingredients and its method.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import archwright
from archwright.controllers.random import Random
from archwright.loop import Trials, run
from archwright.modalities.recipes.data import RecipeData, load_recipes
from archwright.modalities.recipes.pantry import Wishes
from archwright.modalities.recipes.plausibility import Plausibility
from archwright.modalities.recipes.scoring import Scoring, Tasting, Together
from archwright.spaces import Recipe
from archwright.store import RunStore

ASKED = (  # the main ingredients, the first of which is asked for, and the method
    (("potato", "beef"), "braise"),
    (("potato", "green pepper", "chicken"), "braise"),
    (("winter melon", "pork ribs"), "stew"),
    (("strawberry", "cheese", "milk", "tea"), "blend"),
    (("grape", "cheese", "milk", "tea"), "blend"),
)


def clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def said(what: str, begun: tuple[float, float]) -> None:
    wall, cpu = (now - then for now, then in zip(clocks(), begun, strict=True))
    print(f"{what}: {wall:.1f} s, {cpu:.1f} s of the processor", flush=True)


def score(data: RecipeData, proposals: int) -> None:
    begun = clocks()
    model = Plausibility.learned(data)
    said(f"learning from {data.split}", begun)
    space = Wishes().space(data)
    scoring = Scoring(space, Tasting(data, model), lambda m: m["plausible"] * m["novel"] ** 0.5, lambda m: None)
    begun = clocks()
    done = sum(1 for _ in run(Random(space), scoring, budget=Trials(proposals), engine=Together(500)))
    said(f"{done:,} proposals made and scored", begun)


def search(data: str, trials: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        begun = clocks()
        found = archwright.cook(data, trials=trials, run=Path(folder) / "run", watch=lambda e: None)
        said(f"a search of {trials:,} trials, from reading the recipes to the report", begun)
        with RunStore.reading(found.folder) as store:
            kept = sum(1 for _ in store.trials())
        print(f"{kept:,} trials are stored")


def comes_out(dishes: Sequence[tuple[Sequence[str], Sequence[str]]], main: Sequence[str], method: str) -> bool:
    return any(set(main) <= set(ingredients) and method in cooked for ingredients, cooked in dishes)


def written(data: RecipeData, main: Sequence[str], method: str, seed: int, trials: int) -> tuple[bool, bool]:
    """Return whether the dish is among those shown, and among all trials."""
    with tempfile.TemporaryDirectory() as folder:
        order = {
            "wanted": main[:1],
            "objective": "plausible",
            "seed": seed,
            "trials": trials,
            "run": Path(folder) / "run",
        }
        found = archwright.cook(data, fewest=max(2, len(main) - 1), **order)
        with RunStore.reading(found.folder) as store:
            architectures = [trial.architecture for trial in store.trials()]
        shown = [(dish["ingredients"], dish["methods"]) for dish in found.dishes]
        everything = [Recipe(**dict(one.fields)).dish(one) for one in architectures]
        return comes_out(shown, main, method), comes_out(everything, main, method)


def dishes(seeds: int, trials: int) -> None:
    data = load_recipes()
    for main, method in ASKED:
        wanted = {data.ingredients.index(name) for name in main}
        left = [
            known
            for known in data.recipes
            if not (wanted <= set(known.ingredients) and data.methods.index(method) in known.methods)
        ]
        for name, taught in (("known", data), ("left out", data.with_recipes(left))):
            found = [written(taught, main, method, seed, trials) for seed in range(seeds)]
            among, ever = (sum(column) for column in zip(*found, strict=True))
            dish = f"{' + '.join(main)}, {method}"
            print(f"{dish}; {name}: shown in {among} of {seeds} searches, written in {ever}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("score", "search", "dishes"))
    parser.add_argument("--data", default="dishes")
    parser.add_argument("--proposals", type=int, default=100_000)
    parser.add_argument("--trials", type=int, help="default: 20,000, for dishes 1,000")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    if given.what == "score":
        score(load_recipes(given.data), given.proposals)
    elif given.what == "search":
        search(given.data, given.trials or 20_000)
    else:
        dishes(given.seeds, given.trials or 1000)


if __name__ == "__main__":
    main()
