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
FAR = 1.6  # times more or fewer passes than the first: such a network does not race
PATIENCE = 0.15  # of the training's time: on a busy machine, what has not been timed by then does not race either


class Sizing:
    """Sizes the known networks of a space by what their steps take; the first one is timed when this is made.

    Fields of the recipe in `fixed` stay. A space without known networks has none, and the recipe as it is.
    """

    def __init__(self, context: Context, balance: float, fixed: Collection[str], step_seconds: StepSeconds) -> None:
        self._begun = time.monotonic()
        self._context, self._balance, self._fixed, self._step_seconds = context, balance, fixed, step_seconds
        self._space, self._recipe, self._modality = context.search.space, context.final, context.modality
        self._examples = len(self._modality.data.train)
        self._small = self._space.known(START_SIZE, self._recipe, self._examples)
        self._most: dict[str, float] = {}  # sizes that are known to be within the limits where larger ones are not
        if self._small and "precision" not in fixed:
            both = (replace(self._recipe, precision=precision) for precision in PRECISIONS)
            self._recipe = min(both, key=partial(step_seconds, self._first))

    @property
    def _first(self) -> Architecture:
        return next(iter(self._small.values()))

    def passes(self, whole: float) -> float | None:
        """Return the passes over the training part that networks are sized for, where a training takes `whole` seconds.

        They are sqrt(balance x P), and two at least, where P are those of the first known network at START_SIZE: ten
        times the time goes half into a larger network, half into more passes (as Hoffmann et al. 2022 found for
        language models; docs/value.md). None: there are no known networks.
        """
        if not self._small:
            return None
        return max(LEAST_PASSES, math.sqrt(self._balance * self._made(self._first, whole)))

    def _made(self, architecture: Architecture, whole: float) -> float:
        """Return the passes that a network makes in `whole` seconds."""
        own = child_recipe(self._space, architecture, self._recipe)
        return whole / cost(own, self._modality, self._step_seconds(architecture, self._recipe)).training

    def networks(
        self, whole: float, count: int | None = None, smaller: Sequence[float] = ()
    ) -> tuple[dict[str, Architecture], Recipe]:
        """Return the known networks, each at the size that makes as many passes in `whole` seconds, and the recipe.

        One above the limits is made smaller. But for the first, those that cannot come near at any size are left out,
        and those that are still to be timed when that has taken `PATIENCE` of the time. `count` takes the first of them
        alone; the very first is there at `smaller` widths, too.
        """
        if (target := self.passes(whole)) is None:
            return {}, self._recipe
        self._settle(target)
        found: dict[str, Architecture] = {}
        widths: dict[str, Architecture] = {}  # of the first
        first = target  # the passes that it makes
        for name in self._small:
            if len(found) == count or (found and time.monotonic() - self._begun > PATIENCE * whole):
                break
            one, made, size = _nearest(partial(self._at, name=name), partial(self._made, whole=whole), target)
            first = first if found else made
            if self._context.admits(one) and 1 / FAR <= made / first <= FAR:
                widths = widths or {f"{name}-x{factor:g}": self._at(factor * size, name) for factor in smaller}
                found[name] = one
        ordered = {**dict([*found.items()][:1]), **widths, **found}
        distinct = {one: name for name, one in reversed(ordered.items())}  # the first name of each
        return {name: one for name, one in ordered.items() if distinct[one] == name}, self._recipe

    def _settle(self, target: float) -> None:
        """Choose the recipe for so many passes over the training part."""
        first, fixed, recipe = self._first, self._fixed, self._recipe
        if target < FEW_PASSES:
            turning = replace(recipe, optimizer="muon")
            free = recipe.optimizer == "sgd" and "optimizer" not in {*fixed, *self._space.recipe(first)}
            if free and self._step_seconds(first, turning) <= MUON_COST * self._step_seconds(first, recipe):
                recipe = turning
            if "augment" not in fixed:
                recipe = replace(recipe, augment=0.5)
        recipe = replace(recipe, epochs=target)
        if recipe.weight_decay and "weight_decay" not in fixed:
            usual = usual_weight_decay(recipe.learning_rate, steps(recipe, self._modality), target)
            recipe = replace(recipe, weight_decay=usual)
        self._recipe = recipe

    def _at(self, size: float, name: str) -> Architecture:
        """Return a known network at this size, or at the largest within the limits."""
        size = min(size, self._most.get(name, math.inf))
        one, within = admitted(self._context, self._recipe, name, size)
        if within < size:
            self._most[name] = within
        return one


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
