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
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from archwright.cli.cooking.imitation import answers_to, imitate
from archwright.cli.cooking.job import SETTINGS
from archwright.cli.cooking.outcome import alike, different
from archwright.components import controller_class
from archwright.controllers.starting import Starting
from archwright.loop import Trial, Trials, run
from archwright.modalities.recipes.data import Known, RecipeData, load_recipes
from archwright.modalities.recipes.pantry import Wishes
from archwright.modalities.recipes.plausibility import Dish, Plausibility, changed_dish, incidence, padded, random_dish
from archwright.modalities.recipes.scoring import Scoring, Tasting, Together
from archwright.report.statistics import mean_interval
from archwright.space import Architecture, generator, sample

PROPOSALS = 1000
NEIGHBOURS = 5


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
    def imitated(self) -> dict[str, Any]:
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


def first_different(dishes: Iterable[Dish], task: Task, count: int = PROPOSALS) -> list[Dish]:
    """Return the first dishes of different ingredients that are no recipe of A."""
    found: dict[tuple[int, ...], Dish] = {}
    for ingredients, methods in dishes:
        key = tuple(sorted(ingredients))
        if key not in task.known:
            found.setdefault(key, (key, tuple(methods)))
            if len(found) == count:
                break
    return list(found.values())


def best(dishes: Iterable[Dish], task: Task) -> list[Dish]:
    """Return those of the dishes with the largest likelihood, different and not in A."""
    unique = list(dict.fromkeys((tuple(sorted(ingredients)), tuple(methods)) for ingredients, methods in dishes))
    order = np.argsort(-task.score(unique), kind="stable")
    return first_different((unique[i] for i in order), task)


# Ways to propose: each yields dishes, or returns them in order.


def uniform(task: Task, rng: np.random.Generator) -> Iterator[Dish]:
    while True:
        yield task.scoring.dish(sample(task.space, rng))


def sizes_of(task: Task) -> np.ndarray:
    """Return the share of A's recipes with each size from the smallest to the largest allowed."""
    counts = np.array([sum(len(s) == n for s in task.known) for n in range(task.sizes[0], task.sizes[1] + 1)], float)
    return counts / counts.sum()


def frequency(task: Task, rng: np.random.Generator, sizes: np.ndarray | None = None) -> Iterator[Dish]:
    shares, terms = sizes_of(task) if sizes is None else sizes, task.model.terms
    while True:
        size = task.sizes[0] + int(rng.choice(len(shares), p=shares))
        yield terms.drawn(size, rng), terms.drawn_methods(1 if task.a.methods else 0, rng)


def greedy(task: Task, rng: np.random.Generator, sizes: np.ndarray | None = None, lift: bool = False) -> Iterator[Dish]:
    """Begin with a pair, the most frequent first, and add what occurs most with those chosen (or has most lift)."""
    shares = sizes_of(task) if sizes is None else sizes
    x = incidence([known.ingredients for known in task.a.recipes], len(task.a.ingredients))
    together = np.asarray((x.T @ x).toarray(), dtype=float)
    uses = together.diagonal().copy()
    np.fill_diagonal(together, 0)
    worth = np.log(together + 0.5) - np.log(np.outer(uses + 1, uses + 1) / x.shape[0]) if lift else together
    np.fill_diagonal(worth, -np.inf)
    frequent = np.where(together >= 3, worth, -np.inf) if lift else worth
    methods = np.zeros((len(task.a.ingredients), len(task.a.methods)))
    for known in task.a.recipes:
        for m in known.methods[:1]:
            methods[list(known.ingredients), m] += 1
    for flat in np.argsort(-np.triu(frequent, 1) + np.where(np.tri(len(uses), dtype=bool), np.inf, 0), axis=None):
        chosen = list(divmod(int(flat), len(uses)))
        size = task.sizes[0] + int(rng.choice(len(shares), p=shares))
        while len(chosen) < size:
            gain = worth[chosen].sum(0)
            gain[chosen] = -np.inf
            chosen.append(int(gain.argmax()))
        share = methods[chosen] / np.maximum(1, methods[chosen].sum(1, keepdims=True))
        yield chosen, [int(share.sum(0).argmax())] if task.a.methods else []


CHAINS, BURN_IN, APART = 50, 1000, 20


def mcmc(task: Task, rng: np.random.Generator) -> Iterator[Dish]:
    """Yield samples of the model's density: states of 50 chains, every 20 steps after the first 1,000."""
    states = chains(task, rng)
    for step, state in enumerate(states):
        if step >= BURN_IN and step % APART == 0:
            yield from state


def walked(task: Task, rng: np.random.Generator) -> Iterator[Dish]:
    """Yield everything that the chains visit."""
    for state in chains(task, rng):
        yield from state


def chains(task: Task, rng: np.random.Generator) -> Iterator[list[Dish]]:
    """Yield the states of Metropolis chains: at each step a part is replaced, added or removed."""
    count = CHAINS
    source = frequency(task, rng)
    state = [next(source) for _ in range(count)]
    old = task.score(state)
    total = len(task.a.ingredients)
    while True:
        moved, factor = [], np.zeros(count)
        for chain, (ingredients, methods) in enumerate(state):
            ingredients, kind = list(ingredients), int(rng.integers(4 if methods else 3))
            n = len(ingredients)
            if kind == 0:
                ingredients[int(rng.integers(n))] = _other(ingredients, total, rng)
            elif kind == 1 and n < task.sizes[1]:
                ingredients.append(_other(ingredients, total, rng))
                factor[chain] = np.log((total - n) / (n + 1))
            elif kind == 2 and n > task.sizes[0]:
                ingredients.pop(int(rng.integers(n)))
                factor[chain] = np.log(n / (total - n + 1))
            elif kind == 3:
                methods = [int(rng.integers(len(task.a.methods)))]
            moved.append((ingredients, methods))
        new = task.score(moved)
        taken = np.log(rng.random(count)) < new - old + factor
        old = np.where(taken, new, old)
        state = [after if yes else before for before, after, yes in zip(state, moved, taken, strict=True)]
        yield state


def _other(ingredients: Sequence[int], total: int, rng: np.random.Generator) -> int:
    while (found := int(rng.integers(total))) in ingredients:
        pass
    return found


def searched(
    name: str, task: Task, *, trials: int | None = None, steps: int = 300, settings: dict[str, Any] | None = None
) -> list[Dish]:
    """Search with a controller through the loop, and return every dish that was scored."""
    given = {**SETTINGS.get(name, {}), **(settings or {})}
    controller = controller_class(name)(task.space, seed=task.seed, **given)
    known = answers_to(task.space, task.a, task.seed)
    if getattr(controller, "on_policy", False):
        if steps and task.imitated:  # REINFORCE and PPO have the same policy
            controller.policy.load_state_dict(task.imitated)
        else:
            imitate(controller, known, steps=steps, seed=task.seed)
            task.imitated.update({k: v.clone() for k, v in controller.policy.state_dict().items()} if steps else {})
    elif name != "random":
        fields = tuple(task.space.fields.items())
        controller = Starting(controller, [Architecture(task.space.name, fields, answers) for answers in known[:64]])
    engine, budget = Together(controller.batch), Trials(trials or task.trials)
    events = run(controller, task.scoring, budget=budget, engine=engine)
    return [task.scoring.dish(event.architecture) for event in events if isinstance(event, Trial)]


def ways(trials: int, guided: int) -> dict[str, Callable[[Task], list[Dish]]]:
    """Return the ways to propose, by name; each returns at most `PROPOSALS` dishes."""

    def stream(of: Any) -> Callable[[Task], list[Dish]]:
        return lambda task: first_different(of(task, generator((task.seed, 7))), task)

    def ranked(of: Any, number: int = trials) -> Callable[[Task], list[Dish]]:
        def found(task: Task) -> list[Dish]:
            dishes = of(task, generator((task.seed, 7)))
            return best([next(dishes) for _ in range(number)], task)

        return found

    def search(name: str, **how: Any) -> Callable[[Task], list[Dish]]:
        return lambda task: best(searched(name, task, **how), task)

    return {
        "uniform random": stream(uniform),
        "random by frequency": stream(frequency),
        "greedy by co-occurrence": stream(greedy),
        "greedy by lift": stream(lambda task, rng: greedy(task, rng, lift=True)),
        "MCMC, samples": stream(mcmc),
        "random by frequency, ranked": ranked(frequency),
        "MCMC, ranked": ranked(walked, CHAINS * BURN_IN),
        "evolution": search("evolution"),
        "REINFORCE": search("reinforce"),
        "REINFORCE, nothing imitated": search("reinforce", steps=0),
        "PPO": search("ppo"),
        **({"guided": search("guided", trials=guided, settings={"batch": 10, "refit": 100})} if guided else {}),
    }


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


def measured(task: Task, names: Sequence[str] | None, guided: int) -> Iterator[dict[str, Any]]:
    """Yield a row for each way to propose, then one for the model."""
    judge, typical = Neighbours(task.b), {}
    for size in range(task.sizes[0], task.sizes[1] + 1):
        sets = [known.ingredients for known in task.test.recipes if len(known.ingredients) == size]
        typical[size] = float(np.median(judge(sets))) if sets else 0.0
    tasting = task.scoring.tasting
    for name, way in ways(task.trials, guided).items():
        if names is not None and name not in names:
            continue
        begun = time.process_time()
        dishes = way(task)
        seconds = time.process_time() - begun
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
        }
    if names is None or "model" in names:
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
        if name != "way":
            mean, low, high = mean_interval([row[name] for row in others])
            lines.append(f"{name}: {mean:.3f}" + (f" [{low:.3f}, {high:.3f}]" if len(others) > 1 else ""))
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
    parser.add_argument("--out", help="a row of results a line; seeds that are in it are not done again")
    given = parser.parse_args()
    low, _, high = given.sizes.partition("-")
    data, rows = load_recipes(given.data), []
    out = None if given.out is None else Path(given.out)
    if out is not None and out.exists():
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    for seed in range(given.first, given.first + given.seeds):
        if any(row["seed"] == seed for row in rows):
            continue
        task = Task.of(data, seed, (int(low), int(high or low)), given.trials)
        new = []
        for row in measured(task, given.ways and given.ways.split(";"), given.guided):
            new.append({"seed": seed, **row})
            print(json.dumps(new[-1]), flush=True)
        rows += new
        if out is not None:
            with out.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in new)
    print("\n".join(table([{k: v for k, v in row.items() if k != "seed"} for row in rows])))


if __name__ == "__main__":
    main()
