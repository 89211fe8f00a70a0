"""A search for dishes, from an order to what is delivered: the loop, the controllers and the store of any search."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archwright.cli.cooking.imitation import answers_to, imitate
from archwright.cli.cooking.order import FEW_TRIALS, TRIALS, Order, order_of
from archwright.cli.cooking.outcome import conclude
from archwright.components import controller_class, typed
from archwright.controllers.starting import Starting
from archwright.errors import ConfigError, RunError
from archwright.loop import Trial, Trials, run
from archwright.modalities.recipes.data import RecipeData, load_recipes
from archwright.modalities.recipes.plausibility import Plausibility
from archwright.modalities.recipes.scoring import Scoring, Tasting, Together
from archwright.runs.folder import new_folder
from archwright.space import Architecture
from archwright.store import RunStore
from archwright.stored import made, reading

ORDER = "cook"  # the fact that has the order; a run folder of another command has none
STARTERS = 64  # known dishes that a controller begins with that learns from all trials
# For thousands of cheap trials over hundreds of options: large batches, and logits bounded as in ENAS, since a policy
# that is certain proposes the same dish again and again.
SETTINGS: dict[str, dict[str, Any]] = {
    "reinforce": {"temperature": None, "tanh_constant": 3.5, "learning_rate": 1e-3, "batch": 50, "entropy_weight": 0.0},
    "ppo": {"temperature": None, "tanh_constant": 3.5, "learning_rate": 1e-3, "batch": 50, "entropy_weight": 0.0},
    "random": {"batch": 50},
    "evolution": {"population": 100, "sample": 10, "batch": 50},
    "guided": {"batch": 10, "refit": 100},
}


@dataclass(frozen=True)
class Cooked:
    """A finished search for dishes: its folder, and what `result.json` in it says."""

    folder: Path
    result: Mapping[str, Any]

    @property
    def dishes(self) -> list[dict[str, Any]]:
        """The dishes, the best first: ingredients, methods, metrics, and the reasons for them."""
        return list(self.result["dishes"])


class Cooking:
    """A search for dishes in a run folder: a new one, or one that goes on. Iterate over it for its events.

    `given` are the fields of `Order` that the user set; those of a run that goes on cannot be changed.
    """

    def __init__(self, folder: str | Path | None, given: Mapping[str, Any], data: RecipeData | None = None) -> None:
        kept = None if folder is None else _kept(Path(folder))
        fields, usual = order_of(given), {"trials": FEW_TRIALS.get(str(given.get("controller")), TRIALS)}
        self.order = made(Order, usual | fields, "cook") if kept is None else _same(kept, fields, folder)
        typed(str(given.get("controller")))
        order = self.order
        self.data = data or load_recipes(order.data, compounds=order.compounds, nutrition=order.nutrition)
        self.space = order.space(self.data)
        order.require_measured(self.data)
        settings = SETTINGS.get(order.controller, {})
        self._controller: Any = controller_class(order.controller)(self.space, seed=order.seed, **settings)
        self.folder = new_folder(folder, self.data.name)
        self.store = RunStore(self.folder, create=None)
        if kept is None:
            facts = {ORDER: asdict(order), "fingerprint": self.data.fingerprint}
            facts |= {"command": "cook", "begun": time.strftime("%Y-%m-%d %H:%M:%S"), "data": self.data.name}
            self.store.put_all(facts)
        elif self.store.get("fingerprint") != self.data.fingerprint:
            self.store.close()
            raise RunError(f"{folder}: the recipes of {order.data} are not those that the run was begun with")

    def __iter__(self) -> Iterator[str | Trial]:
        """Yield what is done, in words, and every trial."""
        if self.store.get("result") is not None:
            return
        order, controller = self.order, self._controller
        yield f"learning from {self.data.split}"
        state = self.store.restore("model")
        if state is None:
            model = Plausibility.learned(self.data, order.seed)
            self.store.save("model", model.state_dict())
        else:
            with reading(f"{self.folder}: the model"):
                model = Plausibility.from_state(state)
        tasting = Tasting(self.data, model, order.cuisine)
        if tasting.ratings is not None:
            yield tasting.ratings.words
        scoring = Scoring(self.space, tasting, order.reward, order.admit)
        order.require_positive(scoring.usual)
        known = answers_to(self.space, self.data, order.seed)
        if not getattr(controller, "on_policy", False):
            fields = tuple(self.space.fields.items())
            controller = Starting(controller, [Architecture(self.space.name, fields, a) for a in known[:STARTERS]])
        elif self.store.load().controller is None:
            yield f"the controller learns to write {len(known):,} known dishes"
            imitate(controller, known, steps=order.imitate, seed=order.seed)
        yield "search"
        engine, budget = Together(controller.batch), Trials(order.trials)
        for event in run(controller, scoring, budget=budget, store=self.store, engine=engine):
            if isinstance(event, Trial):
                yield event
        conclude(self.store, scoring, order)


def _kept(folder: Path) -> dict[str, Any] | None:
    """Return the order of the run in a folder, if there is one."""
    if not (folder / "run.sqlite").is_file():
        return None
    with RunStore.reading(folder) as store:
        kept: dict[str, Any] | None = store.get(ORDER)
        if kept is None and store.get("begun") is not None:
            raise RunError(f"{folder} holds a run of another command; name another folder")
    return kept


def _same(kept: Mapping[str, Any], given: Mapping[str, Any], folder: str | Path | None) -> Order:
    """Return the order of a run that goes on; ConfigError if the user wants another."""
    with reading(f"{folder}: the order"):
        order = made(Order, order_of(kept), "cook")
    for name, value in given.items():
        if getattr(order, name) != value:
            was = f"{folder} was begun with {name} {getattr(order, name)!r}"
            raise ConfigError(f"{was}, not {value!r}; name another folder with --run")
    return order


def cook(
    data: str | Path | RecipeData | None = None,
    *,
    run: str | Path | None = None,
    watch: Callable[[str | Trial], None] | None = None,
    **order: Any,
) -> Cooked:
    """Search for dishes and return them, with the reasons for each.

    Args:
        data: "dishes" (the default), a .jsonl or .csv file, an .npz of Ahn et al., or what `load_recipes` returned.
        run: the run folder: a new one below `runs/` by default, or one that goes on.
        watch: called with everything that happens: what is done, in words, and every `Trial`.
        order: fields of `Order`: wanted, without, methods, cuisine, objective, pareto, within, count, trials, seed...
    """
    loaded = data if isinstance(data, RecipeData) else None
    if data is not None:
        order["data"] = loaded.name if loaded is not None else str(data)
    cooking = Cooking(run, order, loaded)
    with cooking.store:
        for event in cooking:
            if watch is not None:
                watch(event)
        return Cooked(cooking.folder, cooking.store.get("result"))
