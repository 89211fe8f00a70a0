"""Rediscovery of recipes that the search has not seen: archwright's controllers beside simpler ways to propose dishes.

    python benchmarks/recipes.py DIR/wikibooks.jsonl [--seeds 10] [--trials 4000] [--sizes 2-6] [--out FILE.jsonl]
    python benchmarks/recipes.py DIR/ahn2011_flavor_network.npz

Recipes are divided into A, B and test, a third each, in groups of near duplicates: equal sets of ingredients, sets of 5
and more with one added, sets of 9 and more with one replaced. The largest group, if it has more than a tenth of all, is
in A. The model of `archwright cook` learns from A. Every way proposes 1,000 different dishes (ingredients, and a method
where recipes have one) whose ingredients are no recipe of A. A hit is a recipe of the test part: the same ingredients,
and the method that is named first in it. A judge of another family, nearest neighbours in B, scores the same proposals.

What learns or ranks by the model does so by `log_likelihood`, and proposes the best 1,000 dishes of all that it
has evaluated: `--trials`, but `--guided` for guided, and 50,000 for MCMC from dishes random by frequency.

Small dishes are found more often, and REINFORCE chooses sizes. "sizes of REINFORCE": as many dishes of each size as
its thousand have, by other ways; "sizes of recipes": the best of its dishes with the sizes of A's recipes. "imitation
alone": the policy that has learned to write A's recipes proposes as many dishes, and no reward reaches it.

Printed at the end: means with Student's intervals over divisions, and how many times as many hits REINFORCE has as the
other ways, with intervals by the bootstrap over divisions; rows are kept as they are made (`--out`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archwright.cli.cooking.outcome import alike, different
from archwright.modalities.recipes.data import RecipeData, load_recipes
from archwright.modalities.recipes.plausibility import Dish, changed_dish, incidence, padded, random_dish
from archwright.report.statistics import mean_interval
from recipes_task import Task
from recipes_ways import REINFORCE, ways

NEIGHBOURS = 5


class Neighbours:
    """A judge of another family: the mean Jaccard similarity to the nearest recipes of a part."""

    def __init__(self, part: RecipeData) -> None:
        self.x = incidence([known.ingredients for known in part.recipes], len(part.ingredients))
        self.lengths = np.asarray(self.x.sum(1)).ravel()

    def likeness(self, sets: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
        """Yield the similarity of each set to all recipes."""
        for first in range(0, len(sets), 500):
            some = incidence(sets[first : first + 500], self.x.shape[1])
            common = np.asarray((self.x @ some.T).toarray()).T
            yield from common / (self.lengths + np.asarray(some.sum(1)) - common)

    def __call__(self, sets: Sequence[Sequence[int]]) -> np.ndarray:
        return np.array([np.partition(of, -NEIGHBOURS)[-NEIGHBOURS:].mean() for of in self.likeness(sets)])


def judged(dishes: Sequence[Dish], task: Task, judge: Neighbours, typical: dict[int, float]) -> float:
    """Return the share of dishes that the judge puts above the median test recipe of their size."""
    scores = judge([ingredients for ingredients, _ in dishes])
    return float(np.mean([score > typical[len(i)] for score, (i, _) in zip(scores, dishes, strict=True)]))


def lifts(part: RecipeData) -> np.ndarray:
    """Return the pointwise mutual information of two ingredients, as if ten more recipes had each one by chance."""
    x = incidence([known.ingredients for known in part.recipes], len(part.ingredients))
    together = np.asarray((x.T @ x).toarray(), dtype=float)
    uses = together.diagonal() + 0.5
    share = uses / x.shape[0]
    found = np.log((together + 10 * share) / (uses[:, None] + 10) / share)
    found = (found + found.T) / 2
    np.fill_diagonal(found, 0)
    return found


def completion(task: Task, most: int = 800) -> dict[str, float]:
    """Return recall@10 of an ingredient that is left out of recipes of the test part."""
    rng, lift, near = np.random.default_rng(task.seed), lifts(task.a), Neighbours(task.a)
    uses = np.exp(task.model.terms.shares[:-1])
    together = incidence([known.ingredients for known in task.a.recipes], len(uses))
    counts = np.asarray((together.T @ together).toarray())
    np.fill_diagonal(counts, 0)
    hits: Counter[str] = Counter()
    tests = [known.ingredients for known in task.test.recipes if len(known.ingredients) > 2]
    tests = [tests[i] for i in rng.permutation(len(tests))[:most]]
    places = [int(rng.integers(len(one))) for one in tests]
    rests = [one[:place] + one[place + 1 :] for one, place in zip(tests, places, strict=True)]
    for one, place, rest, like in zip(tests, places, rests, near.likeness(rests), strict=True):
        nearest = np.argsort(-like)[:50]
        scores = {
            "model": task.model.completions(rest),
            "co-occurrence": counts[list(rest)].sum(0),
            "pointwise mutual information": lift[list(rest)].sum(0) + np.log(uses),
            "50 neighbours": like[nearest] @ near.x[nearest].toarray(),
            "frequency": uses.copy(),
        }
        for name, score in scores.items():
            score = np.asarray(score, dtype=float)
            score[list(rest)] = -np.inf
            hits[name] += int((score > score[one[place]]).sum() < 10)
    return {f"completion: {name}": hits[name] / len(tests) for name in scores}


def macro_f1(guessed: np.ndarray, right: np.ndarray) -> float:
    found = []
    for label in np.unique(right):
        true = float(((guessed == label) & (right == label)).sum())
        found.append(2 * true / ((guessed == label).sum() + (right == label).sum()))
    return float(np.mean(found))


def methods(task: Task) -> dict[str, float]:
    """Return how well the first method of test recipes is told from their ingredients."""
    cooked = [known for known in task.test.recipes if known.methods]
    if not cooked:
        return {}
    right = np.array([known.methods[0] for known in cooked])
    terms = task.model.terms
    logs = terms.method_logs(padded([known.ingredients for known in cooked], len(terms.shares) - 1))[:, :-1]
    usual = int(terms.method_shares[:-1].argmax())
    guesses = {
        "model": logs.argmax(1),
        "model, of equal methods": (logs - terms.method_shares[:-1]).argmax(1),
        "most frequent": np.full(len(right), usual),
    }
    found = {f"method F1: {name}": macro_f1(guess, right) for name, guess in guesses.items()}
    return found | {f"method accuracy: {name}": float((guess == right).mean()) for name, guess in guesses.items()}


def told_apart(task: Task, most: int = 1000) -> dict[str, float]:
    """Return how well test recipes are told from made-up ones, half random and half with a part replaced.

    The area under the curve of three scores, and the calibration error of `plausible` in ten bins.
    """
    rng, terms = np.random.default_rng(task.seed), task.model.terms
    recipes = [(known.ingredients, known.methods[:1]) for known in task.test.recipes]
    real = [recipes[i] for i in rng.permutation(len(recipes))[:most]]
    made_up = [(random_dish if i % 2 else changed_dish)(one, terms, rng) for i, one in enumerate(real)]
    dishes, truth = real + made_up, np.repeat([1, 0], [len(real), len(made_up)])
    plausible, lift, near = task.model.scores(dishes)["plausible"], lifts(task.a), Neighbours(task.a)
    sets = [list(ingredients) for ingredients, _ in dishes]
    scores = {
        "plausible": plausible,
        "mean lift": np.array([lift[np.ix_(one, one)].sum() / (len(one) * (len(one) - 1)) for one in sets]),
        "neighbours": near(sets),
    }
    found = {}
    for name, score in scores.items():
        ranks = np.argsort(np.argsort(score)) + 1
        n = len(real)
        found[f"told apart: {name}"] = float((ranks[truth == 1].sum() - n * (n + 1) / 2) / (n * len(made_up)))
    bins = np.minimum((plausible * 10).astype(int), 9)
    gaps = [abs(plausible[bins == b].mean() - truth[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return found | {"calibration error": float(sum(gaps))}


def measured(task: Task, guided: int, wanted: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
    """Yield a row for each wanted way to propose, then one for the model, whose name is empty."""
    chosen = {name: way for name, way in ways(task.trials, guided).items() if wanted(name)}
    if not chosen and not wanted(""):
        return
    judge, typical = Neighbours(task.b), {}
    for size in range(task.sizes[0], task.sizes[1] + 1):
        sets = [known.ingredients for known in task.test.recipes if len(known.ingredients) == size]
        typical[size] = float(np.median(judge(sets))) if sets else 0.0
    tasting = task.scoring.tasting
    for name, way in chosen.items():
        begun = time.process_time()
        dishes = way(task)
        seconds = time.process_time() - begun
        task.found_sizes[name] = Counter(len(ingredients) for ingredients, _ in dishes)
        few = different(dishes, 10, 0)
        apart = [1 - alike(a, b) for i, a in enumerate(few) for b in few[:i]]
        yield {
            "way": name,
            "proposals": len(dishes),
            "hits": sum(map(task.hit, dishes)),
            "sets": sum(tuple(ingredients) in task.truth for ingredients, _ in dishes),
            "log_likelihood": float(task.score(dishes).mean()),
            "judge": judged(dishes, task, judge, typical),
            "novel": float(np.mean([1 - tasting.likeness(ingredients).max() for ingredients, _ in dishes])),
            "diversity": float(np.mean(apart)),
            "size": float(np.mean([len(ingredients) for ingredients, _ in dishes])),
            "seconds": seconds,
            "sizes": sorted(task.found_sizes[name].items()),
        }
    if wanted(""):
        yield {"way": "", **completion(task), **methods(task), **told_apart(task)}


COLUMNS = ("hits", "sets", "judge", "novel", "diversity", "size", "log_likelihood", "seconds")


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the results as Markdown: means over seeds, with 95 % intervals of the hits in a thousand."""
    lines = ["| proposed by | hits in 1,000 | sets alone | judge | novel | diversity | size | log p | CPU s |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(row["way"] for row in rows if row["way"]):
        own = [row for row in rows if row["way"] == name]
        cells = []
        for column in COLUMNS:
            scale = [1000 / row["proposals"] if column in COLUMNS[:2] else 1.0 for row in own]
            values = [row[column] * by for row, by in zip(own, scale, strict=True)]
            mean, low, high = mean_interval(values)
            interval = f" [{max(0, low):.1f}, {high:.1f}]" if column in COLUMNS[:2] and len(own) > 1 else ""
            cells.append(f"{mean:.{1 if column in COLUMNS[:2] else 2}f}{interval}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    others = [row for row in rows if not row["way"]]
    lines += [""] * bool(others)
    for name in others[0] if others else ():
        if name not in ("way", "seed"):
            mean, low, high = mean_interval([row[name] for row in others])
            lines.append(f"{name}: {mean:.3f}" + (f" [{low:.3f}, {high:.3f}]" if len(others) > 1 else ""))
    return lines


def ratios(rows: Sequence[dict[str, Any]], ours: str = REINFORCE, draws: int = 10_000) -> list[str]:
    """Return how many times as many hits REINFORCE has as each other way, over the divisions that have both.

    The interval is the percentile bootstrap over divisions, which are drawn together for both.
    """
    lines, rng = [], np.random.default_rng(0)
    for name in dict.fromkeys(row["way"] for row in rows):
        pairs = [(row, other) for row in rows for other in rows if (row["way"], other["way"]) == (ours, name)]
        pairs = [(row, other) for row, other in pairs if row["seed"] == other["seed"]]
        if not pairs or name in ("", ours):
            continue
        found = []
        for column in COLUMNS[:2]:
            rates = np.array([[one[column] / one["proposals"] for one in pair] for pair in pairs])
            sums = rates[rng.integers(len(pairs), size=(draws, len(pairs)))].sum(1)
            sums = np.concatenate([rates.sum(0)[None], sums])
            times = np.full(len(sums), np.inf)
            np.divide(sums[:, 0], sums[:, 1], out=times, where=sums[:, 1] > 0)
            low, high = np.sort(times[1:])[[int(0.025 * draws), int(0.975 * draws) - 1]]
            found.append(f"{column} {times[0]:.1f} [{low:.1f}, {high:.1f}]")
        lines.append(f"{ours} / {name}, {len(pairs)} divisions: {', '.join(found)}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="the first seed: 0 is what the settings were chosen on")
    parser.add_argument("--trials", type=int, default=4000, help="evaluations of each search")
    parser.add_argument("--guided", type=int, default=150, help="evaluations of guided, which takes longer for each")
    parser.add_argument("--sizes", default="2-6", help="ingredients of a dish")
    parser.add_argument("--ways", help="of the ways to propose, separated by semicolons, and model")
    parser.add_argument("--out", help="a row of results a line, added as each is done; those in it are not done again")
    given = parser.parse_args()
    low, _, high = given.sizes.partition("-")
    names = None if given.ways is None else [name.strip() for name in given.ways.split(";")]
    data, rows = load_recipes(given.data), []
    out = None if given.out is None else Path(given.out)
    if out is not None and out.exists():
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    for seed in range(given.first, given.first + given.seeds):
        task, done = Task.of(data, seed, (int(low), int(high or low)), given.trials), set()
        for row in rows:
            if row["seed"] == seed:
                done.add(row["way"])
                task.found_sizes[row["way"]] = Counter(dict(row.get("sizes", ())))

        def wanted(name: str, done: frozenset[str] = frozenset(done)) -> bool:
            return name not in done and (names is None or (name or "model") in names)

        for row in measured(task, given.guided, wanted):
            rows.append({"seed": seed, **row})
            print(json.dumps(rows[-1]), flush=True)
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    print("\n".join([*table(rows), "", *ratios(rows)]))


if __name__ == "__main__":
    main()
