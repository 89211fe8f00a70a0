"""A known network that is trained beside the network found, and offered where it is better in validation.

It trains for a share of the seconds that the network found has in final training: where it is better even so, it would
be with as much time, and final training keeps its half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from archwright.components import space_class, space_from_json, space_to_json, with_fields
from archwright.errors import ChildFailure, ConfigError
from archwright.methods.cost import cost
from archwright.methods.sizing import BALANCE, START_SIZE, Sizing
from archwright.presets import DEFAULT_SPACES, preset
from archwright.runs.assembly import costs_of
from archwright.runs.candidates import Candidates
from archwright.runs.costing import Exact
from archwright.runs.events import Event, Message
from archwright.runs.floors import SHARE as FINAL_SHARE
from archwright.runs.timing import TIMED_STEPS, step_seconds
from archwright.space import Architecture
from archwright.stored import made, reading
from archwright.training.child import child_recipe
from archwright.training.recipe import Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.runs.clock import Clock
    from archwright.runs.plan import Plan
    from archwright.space import Space
    from archwright.store import RunStore

SHARE = 0.1  # of the seconds that the network found has in final training, where a run of --minutes plans a rival
LEAST_SECONDS = 5.0  # of a rival's training: less says nothing


def known_in(modality: Modality) -> tuple[Space, Recipe, float] | None:
    """Return the space of known networks for such data, how they are trained in minutes, and the balance of sizes.

    None if there are no known networks.
    """
    if modality.name not in DEFAULT_SPACES:
        return None
    cls = space_class(DEFAULT_SPACES[modality.name])
    usual = preset("small", cls, modality)
    recipe = usual.final_recipe
    space = with_fields(cls, {**usual.space, **usual.following(recipe)}).final()
    balance = float(usual.settings.get("balance", BALANCE))
    return (space, recipe, balance) if space.known(START_SIZE, recipe, len(modality.data.train)) else None


def usual_share(plan: Plan, modality: Modality, settings: Mapping[str, Any]) -> float:
    """Return the share of final training that a known network has: the user's, or that of a plan with time for it.

    A method that races known networks, and data without any, need none.
    """
    if "known" in settings:
        if settings["known"] and known_in(modality) is None:
            raise ConfigError(f"known is {settings['known']:g}, and there are no known networks for {modality.name}")
        return float(settings["known"])
    seconds = 60 * (plan.budget.minutes or 0.0)
    if settings.get("deliver") != "best" and SHARE * FINAL_SHARE * seconds < LEAST_SECONDS:
        return 0.0
    raced = plan.search.method.known(plan.search) or known_in(modality) is None
    return 0.0 if raced else SHARE


class Rivals:
    """Trains the first known network of the data's usual space, and compares it with the network found in validation.

    The facts of one are in the store: `rivals` has its architecture, space and recipe, and the comparison, by key.
    """

    def __init__(self, plan: Plan, modality: Modality, store: RunStore, clock: Clock) -> None:
        self.plan, self.modality, self.store, self.clock = plan, modality, store, clock

    @property
    def chosen(self) -> Mapping[str, Any]:
        """What is known of each rival by its key, the longest trained last."""
        found: Mapping[str, Any] = self.store.get("rivals", {})
        return dict(sorted(found.items(), key=lambda item: float(item[1]["share"])))

    @property
    def last(self) -> str | None:
        """The key of the rival that was trained longest and compared."""
        return next((key for key, rival in reversed(list(self.chosen.items())) if "difference" in rival), None)

    def train(self, found: Candidates, key: str, left: Callable[[], float] | None) -> Iterator[Event]:
        """Train the rival of the network `key` of the candidates `found`, and record how they compare."""
        share = self.plan.final.known
        name, seconds = f"known-{share:g}", share * float(found.record(key)["seconds"])
        if name not in self.chosen:
            try:
                sizes = self._sized(min(seconds, seconds if left is None else left()))
            except ChildFailure as error:
                yield Message(f"no known network could be trained: {error}")
                return
            self._record(name, {"share": share, **sizes})
        rival = self.chosen[name]
        yield Message(f"{rival['network']}: {seconds:.0f} s, {share:.0%} of what the network found had")
        candidates, architecture = self.candidates(name), Architecture.from_json(rival["architecture"])
        recipe = candidates.plan.final.recipe
        yield from candidates.train(name, architecture, "known network", (0, 1), recipe=recipe, left=left)
        if candidates.record(name)["error"] is None:
            tests = found.test(key, "validation"), candidates.test(name, "validation")
            difference, *interval = self.modality.difference(*tests)
            better = difference < 0 if self.modality.larger_is_better else difference > 0
            self._record(name, {**rival, "difference": difference, "interval": interval, "better": better})

    def candidates(self, key: str) -> Candidates:
        """Return what trains and tests the rival of this key: its networks are of another space than the run's."""
        with reading(f"{self.store.folder}: the known network"):
            rival = self.chosen[key]
            space, recipe = space_from_json(rival["space"]), made(Recipe, rival["recipe"], "a recipe")
        plan = replace(self.plan, final=replace(self.plan.final, space=space, recipe=recipe))
        return Candidates(plan, self.modality, self.store, self.clock)

    def _record(self, key: str, rival: Mapping[str, Any]) -> None:
        self.store.put("rivals", {**self.chosen, key: rival})

    def _sized(self, seconds: float) -> dict[str, Any]:
        """Return the first known network at the size for these seconds, and the recipe that fills them."""
        known = known_in(self.modality)
        assert known is not None  # or the plan has no rival
        space, usual, balance = known
        measured: dict[Architecture, float] = {}

        def step(architecture: Architecture, recipe: Recipe) -> float:
            final = replace(self.plan.final, space=space, recipe=recipe)
            plan = replace(self.plan, final=final)
            measured[architecture] = step_seconds(plan, self.modality, architecture, TIMED_STEPS)
            return measured[architecture]

        context = self.plan.context(self.modality)
        context = replace(context, search=replace(context.search, space=space), final=usual)
        plan = replace(self.plan, final=replace(self.plan.final, space=space))
        context = replace(context, excess=Exact(plan, costs_of(plan, self.modality)).excess)
        networks, recipe = Sizing(context, balance, (), step).networks(seconds, count=1)
        if not networks:
            raise ChildFailure("none is within the limits")
        ((name, architecture),) = networks.items()
        own = child_recipe(space, architecture, recipe)
        epochs = cost(own, self.modality, measured[architecture]).epochs_within(seconds)
        return {
            "network": name,
            "architecture": architecture.to_json(),
            "space": space_to_json(space),
            "recipe": asdict(replace(own, epochs=epochs)),
        }
