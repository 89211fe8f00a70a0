"""The start of a search: known dishes as answers to the space's questions, and a policy that learns to write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from archwright.controllers.policy import Policy
from archwright.controllers.threads import one_thread
from archwright.modalities.recipes.data import RecipeData
from archwright.space import Architecture, generator

BATCH, RATE = 50, 1e-2
Answers: TypeAlias = "tuple[tuple[str, Any], ...]"


def answers_to(space: Any, data: RecipeData, seed: int) -> list[Answers]:
    """Return known dishes, in a random order, as answers to the questions of a space `recipe`.

    Those that it wants are added, those that it does not have are left out, and so are some of a large dish. Where
    ingredients are given, the dishes are those that have one of them.
    """
    words, given, rng = space.vocabularies, set(space.given), generator((seed, len(data.recipes)))
    allowed, methods, found = set(words["ingredient"]), set(words.get("method", ())), []
    for known in data.recipes:
        names = [data.ingredients[i] for i in known.ingredients]
        others = [name for name in names if name in allowed and name not in given]
        kept = [others[i] for i in sorted(rng.permutation(len(others))[: space.most - len(given)].tolist())]
        used = [data.methods[m] for m in known.methods if data.methods[m] in methods][: space.most_methods]
        size = len(kept) + len(given)
        if size < space.fewest or (methods and not used) or (given and not given & set(names)):
            continue
        answers = [("size", size), *((f"ingredient/{place}", name) for place, name in enumerate(kept, start=1))]
        if methods:
            answers += [("methods", len(used)), *((f"method/{place}", m) for place, m in enumerate(used, start=1))]
        found.append(tuple(answers))
    return [found[i] for i in rng.permutation(len(found))]


def imitate(controller: Any, dishes: Sequence[Answers], *, steps: int, seed: int) -> None:
    """Take steps of maximum likelihood towards dishes, with their ingredients in another order each time.

    A controller without a policy stays as it is.
    """
    policy = getattr(controller, "policy", None)
    if not isinstance(policy, Policy) or not dishes:
        return
    rng, space = generator((seed, len(dishes))), controller.space
    adam, fields = torch.optim.Adam(policy.parameters(), lr=RATE), tuple(space.fields.items())
    with one_thread():
        for step in range(steps):
            adam.param_groups[0]["lr"] = RATE * (1 - step / steps)
            batch = [_shuffled(dishes[i], rng) for i in rng.integers(len(dishes), size=BATCH)]
            rollout = policy.score([space] * BATCH, [Architecture(space.name, fields, answers) for answers in batch])
            adam.zero_grad()
            (-rollout.log_prob.mean()).backward()  # type: ignore[no-untyped-call]
            adam.step()
    policy.zero_grad()


def _shuffled(answers: Answers, rng: Any) -> Answers:
    """Return the answers with the ingredients in a random order: a set has none."""
    places = [i for i, (name, _) in enumerate(answers) if name.startswith("ingredient/")]
    order = dict(zip(places, rng.permutation(places).tolist(), strict=True))
    return tuple((name, answers[order.get(i, i)][1]) for i, (name, _) in enumerate(answers))
