"""Ways to propose dishes: random ones, greedy ones, samples of the model, and controllers (benchmarks/recipes.py)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from archwright.cli.cooking.imitation import answers_to, imitate
from archwright.cli.cooking.job import SETTINGS
from archwright.components import controller_class
from archwright.controllers.starting import Starting
from archwright.loop import Trial, Trials, run
from archwright.modalities.recipes.plausibility import Dish, incidence
from archwright.modalities.recipes.scoring import Together
from archwright.space import Architecture, generator, sample
from recipes_task import PROPOSALS, Task, first_different, ordered

# Ways to propose: each yields dishes, or returns them in order.


def uniform(task: Task, rng: np.random.Generator) -> Iterator[Dish]:
    while True:
        yield task.scoring.dish(sample(task.space, rng))


Quota = Counter[int] | None  # how many dishes of each size are still wanted
REINFORCE = "REINFORCE"


def sizes_of(task: Task) -> np.ndarray:
    """Return the share of A's recipes with each size from the smallest to the largest allowed."""
    counts = np.array([sum(len(s) == n for s in task.known) for n in range(task.sizes[0], task.sizes[1] + 1)], float)
    return counts / counts.sum()


def drawn_sizes(task: Task, rng: np.random.Generator, quota: Quota) -> Iterator[int]:
    """Yield sizes of dishes: those of A's recipes, or what a quota still wants."""
    usual = sizes_of(task)
    while True:
        left = np.array([quota[n] for n in range(task.sizes[0], task.sizes[1] + 1)], float) if quota else usual
        yield task.sizes[0] + int(rng.choice(len(left), p=left / left.sum()))


def frequency(task: Task, rng: np.random.Generator, quota: Quota = None) -> Iterator[Dish]:
    terms = task.model.terms
    for size in drawn_sizes(task, rng, quota):
        yield terms.drawn(size, rng), terms.drawn_methods(1 if task.a.methods else 0, rng)


def greedy(task: Task, rng: np.random.Generator, quota: Quota = None, lift: bool = False) -> Iterator[Dish]:
    """Begin with a pair, the most frequent first, and add what occurs most with those chosen (or has most lift)."""
    sizes = drawn_sizes(task, rng, quota)
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
        size = next(sizes)
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
        if steps and "policy" in task.kept:  # REINFORCE and PPO have the same policy
            controller.policy.load_state_dict(task.kept["policy"])
        else:
            imitate(controller, known, steps=steps, seed=task.seed)
            if steps:
                task.kept["policy"] = {k: v.clone() for k, v in controller.policy.state_dict().items()}
    elif name != "random":
        fields = tuple(task.space.fields.items())
        controller = Starting(controller, [Architecture(task.space.name, fields, answers) for answers in known[:64]])
    engine, budget = Together(controller.batch), Trials(trials or task.trials)
    events = run(controller, task.scoring, budget=budget, engine=engine)
    return [task.scoring.dish(event.architecture) for event in events if isinstance(event, Trial)]


def ways(trials: int, guided: int) -> dict[str, Callable[[Task], list[Dish]]]:
    """Return the ways to propose, by name; each returns at most `PROPOSALS` dishes."""

    def ranked(
        name: str, of: Callable[[Task], Iterable[Dish]], quota: Callable[[Task], Quota] = lambda task: None
    ) -> Callable[[Task], list[Dish]]:
        """Return the best of a source, whose dishes are kept by name for another quota."""

        def found(task: Task) -> list[Dish]:
            if name not in task.kept:
                task.kept[name] = ordered(of(task), task)
            return first_different(task.kept[name], task, quota=quota(task))

        return found

    def first(of: Any, number: int) -> Callable[[Task], Iterable[Dish]]:
        return lambda task: islice(of(task, generator((task.seed, 7))), number)

    def stream(of: Any, quota: Callable[[Task], Quota] = lambda task: None) -> Callable[[Task], list[Dish]]:
        def found(task: Task) -> list[Dish]:
            wanted = quota(task)
            return first_different(of(task, generator((task.seed, 7)), wanted), task, quota=wanted)

        return found

    def search(name: str, **how: Any) -> Callable[[Task], list[Dish]]:
        return lambda task: searched(name, task, **how)

    def as_reinforce(task: Task) -> Quota:
        return Counter(task.found_sizes[REINFORCE])

    def as_known(task: Task) -> Quota:
        shares = sizes_of(task)
        return Counter({task.sizes[0] + i: round(PROPOSALS * share) for i, share in enumerate(shares.tolist())})

    few = {
        "guided": ranked("guided", search("guided", trials=guided)),
        "REINFORCE, as few trials": ranked("few", search("reinforce", trials=guided)),
    }
    random, visited = first(frequency, trials), first(walked, CHAINS * BURN_IN)
    found, imitating = search("reinforce"), search("reinforce", settings={"learning_rate": 1e-12})
    return {
        "uniform random": stream(lambda task, rng, _: uniform(task, rng)),
        "random by frequency": stream(frequency),
        "greedy by co-occurrence": stream(greedy),
        "greedy by lift": stream(lambda task, rng, quota: greedy(task, rng, quota, lift=True)),
        "MCMC, samples": stream(lambda task, rng, _: mcmc(task, rng)),
        "random by frequency, ranked": ranked("random", random),
        "MCMC, ranked": ranked("visited", visited),
        "evolution": ranked("evolution", search("evolution")),
        REINFORCE: ranked("found", found),
        "imitation alone, ranked": ranked("imitating", imitating),
        "random by frequency, sizes of REINFORCE": stream(frequency, as_reinforce),
        "greedy by co-occurrence, sizes of REINFORCE": stream(greedy, as_reinforce),
        "random by frequency, ranked, sizes of REINFORCE": ranked("random", random, as_reinforce),
        "MCMC, ranked, sizes of REINFORCE": ranked("visited", visited, as_reinforce),
        "imitation alone, ranked, sizes of REINFORCE": ranked("imitating", imitating, as_reinforce),
        "REINFORCE, sizes of recipes": ranked("found", found, as_known),
        "REINFORCE, nothing imitated": ranked("not imitated", search("reinforce", steps=0)),
        "PPO": ranked("PPO", search("ppo")),
        **(few if guided else {}),
    }
