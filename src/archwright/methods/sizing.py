"""How large known networks are, and how they are trained, so that they fill a time on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from archwright.methods.cost import LEAST_PASSES, cost, steps
from archwright.training.child import child_recipe
from archwright.training.weight_decay import usual_weight_decay

if TYPE_CHECKING:
    from archwright.methods.protocol import Context, StepSeconds
    from archwright.space import Architecture
    from archwright.training.precision import Precision
    from archwright.training.recipe import Recipe

START_SIZE, SIZINGS, COST_POWER = 0.25, 3, 1.4  # sizes that are timed; seconds grow with the width to this power
BALANCE = 13.0  # for images (docs/value.md)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")  # the faster is taken (docs/value.md)
# Networks that see each image a few times do not learn images by heart, and learn moved ones more slowly: augmentation
# is half as strong below so many passes.
FEW_PASSES = 20.0
# There Muon learns more in a step; with more passes it learns by heart sooner (docs/value.md). Its matrix products cost
# the same for images of any size, so where images are small a step takes longer and what it learns more is lost: it is
# taken where its step costs at most so many times SGD's.
MUON_COST = 1.15
NEAR = math.log(1.3)  # a difference in passes that a larger network is worth
SMALLEST, SMALLER = 0.01, 0.85  # size of a network that is tried to be within limits, and the factor between two
FAR = 1.6  # times more or fewer passes than intended: such a network does not race
PATIENCE = 0.15  # of the training's time: on a busy machine, what has not been timed by then does not race either


def sized(
    context: Context,
    whole: float,
    balance: float,
    fixed: Collection[str],
    step_seconds: StepSeconds,
    count: int | None = None,
    smaller: Sequence[float] = (),
) -> tuple[dict[str, Architecture], Recipe]:
    """Return the known networks, each at the size that makes about as many passes in `whole` seconds, and the recipe.

    Known networks are sized so that the whole training makes sqrt(balance x P) passes over the training part, where P
    are those of the first known network at START_SIZE, and two at least: ten times the time goes half into a larger
    network, half into more passes (as Hoffmann et al. 2022 found for language models; docs/value.md). One that cannot
    come near it at any size is left out, one above the limits is made smaller, and those, but for the first, that are
    still to be timed when that has taken `PATIENCE` of the time are left out. Fields of the recipe in `fixed` stay. A
    space without known networks has none, and the recipe as it is. `count` takes the first of them alone; that is there
    at `smaller` widths, too.
    """
    begun = time.monotonic()
    recipe, space, modality = context.final, context.search.space, context.modality
    examples = len(modality.data.train)
    small = space.known(START_SIZE, recipe, examples)
    if not small:
        return {}, recipe
    first = next(iter(small.values()))
    if "precision" not in fixed:
        recipe = min((replace(recipe, precision=p) for p in PRECISIONS), key=partial(step_seconds, first))

    def passes(architecture: Architecture) -> float:
        own = child_recipe(space, architecture, recipe)
        return whole / cost(own, modality, step_seconds(architecture, recipe)).training

    target = max(LEAST_PASSES, math.sqrt(balance * passes(first)))
    if target < FEW_PASSES:
        if "augment" not in fixed:
            recipe = replace(recipe, augment=0.5)
        if recipe.optimizer == "sgd" and "optimizer" not in {*fixed, *space.recipe(first)}:
            turning = replace(recipe, optimizer="muon")
            if step_seconds(first, turning) <= MUON_COST * step_seconds(first, recipe):
                recipe = turning
    recipe = replace(recipe, epochs=target)
    if recipe.weight_decay and "weight_decay" not in fixed:
        usual = usual_weight_decay(recipe.learning_rate, steps(recipe, modality), target)
        recipe = replace(recipe, weight_decay=usual)

    most: dict[str, float] = {}  # sizes that are known to be within the limits where larger ones are not

    def at(size: float, name: str) -> Architecture:
        size = min(size, most.get(name, math.inf))
        one, within = admitted(context, recipe, name, size)
        if within < size:
            most[name] = within
        return one

    found: dict[str, tuple[Architecture, float, float]] = {}
    for name in list(small)[:count]:
        if found and time.monotonic() - begun > PATIENCE * whole:
            break
        nearest = _nearest(partial(at, name=name), passes, target)
        if context.admits(nearest[0]):
            found[name] = nearest
    near = {name: one for name, (one, made, _) in found.items() if 1 / FAR <= made / target <= FAR}
    near = near or {name: one for name, (one, _, _) in found.items()}
    for name, (_, _, size) in [*found.items()][:1]:
        near = {name: near.pop(name, found[name][0]), **{f"{name}-x{f:g}": at(f * size, name) for f in smaller}, **near}
        near = {name: one for name, one in near.items() if one not in [*near.values()][: [*near].index(name)]}
    return near, recipe


def admitted(context: Context, recipe: Recipe, name: str, size: float) -> tuple[Architecture, float]:
    """Return a known network at this size, or at the next smaller one that is within the limits, if there is any; its
    size.

    Costs grow with the square of the width at most: it gets narrower by the root of what is too much, or a little more.
    """
    space, examples = context.search.space, len(context.modality.data.train)
    while (over := context.excess(one := space.known(size, recipe, examples)[name])) > 1 and size > SMALLEST:
        size *= min(SMALLER, over**-0.5)
    return one, size


def _nearest(
    at: Callable[[float], Architecture], passes: Callable[[Architecture], float], target: float
) -> tuple[Architecture, float, float]:
    """Return the network `at` the size that comes nearest to so many passes, its passes and size; a few are timed.

    Of those that come about as near the widest is taken: some widths are no faster than larger ones.
    """
    size, architecture = START_SIZE, at(START_SIZE)
    found: dict[Architecture, tuple[float, float]] = {}  # passes and size
    while len(found) < SIZINGS and architecture not in found:
        found[architecture] = passes(architecture), size
        size *= (found[architecture][0] / target) ** (1 / COST_POWER)
        architecture = at(size)
    far = {one: abs(math.log(made / target)) for one, (made, _) in found.items()}
    near = [one for one in found if far[one] <= min(far.values()) + NEAR]
    widest = max(near, key=lambda one: found[one][1])
    return widest, *found[widest]
