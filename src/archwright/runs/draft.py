"""A plan as a preset and the user's settings give it, before anything is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from archwright.components import frozen, space_class, with_fields
from archwright.controllers.guided import usual_start
from archwright.costs.target import OF_A_PASS
from archwright.errors import ConfigError, SpaceError, offered
from archwright.methods import method_class
from archwright.methods.cost import Rates
from archwright.methods.protocol import Search
from archwright.methods.sizing import START_SIZE
from archwright.presets import as_published, preset, presets_of
from archwright.presets.budget import for_budget
from archwright.presets.values import Preset, Size
from archwright.runs.cluster import on_a_cluster
from archwright.runs.plan import FinalTraining, Plan
from archwright.runs.rates import estimate, pin_threads, with_threads
from archwright.runs.rivals import usual_share
from archwright.space import Architecture, replay, sample
from archwright.training.recipe import Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Space

FEW_TRIALS = 1000
FRONT = 3  # networks of a front that are trained to their end


@dataclass(frozen=True)
class UserSettings:
    """What the user set; everything else is the preset's or planned. Mappings are fields of the component.

    `settings` are the other settings of the plan by name: trials, finalists, baseline, evaluator, workers...
    """

    space: str
    space_fields: Mapping[str, Any] = field(default_factory=dict)
    final_space_fields: Mapping[str, Any] = field(default_factory=dict)
    controller: str | None = None
    controller_settings: Mapping[str, Any] = field(default_factory=dict)
    search_recipe: Mapping[str, Any] = field(default_factory=dict)
    final_recipe: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Planner:
    """Makes plans for one set of data and one user; `base` has the fields of the plan that do not depend on sizes."""

    modality: Modality
    user: UserSettings
    preset: str
    base: Mapping[str, Any]
    choose_threads: bool

    def plan(self, size: Size | None = None) -> Plan:
        """Return a preset, and over it what the user set."""
        user, cls = self.user, space_class(self.user.space)
        usual = preset(self.preset, cls, self.modality, size)
        final_recipe = _changed(usual.final_recipe, user.final_recipe)
        following = usual.following(final_recipe)
        space_fields, final_space = {**usual.space, **following}, {**usual.final_space, **following}
        space = with_fields(cls, {**space_fields, **user.space_fields})
        carried = {k: v for k, v in user.space_fields.items() if k in final_space}  # the sizes of both
        final_fields = {**final_space, **carried, **user.final_space_fields}
        settings = dict(usual.settings)
        settings.setdefault("evaluator", "shared-weights" if space.shares_weights else "from-scratch")
        method = method_class(user.settings.get("evaluator", settings["evaluator"]))
        its = {"epochs": usual.search_recipe.epochs, **usual.settings}
        sized = method.sized(user.settings, its, user.search_recipe.get("epochs"), final_recipe)
        recipe = replace(usual.search_recipe, epochs=sized.pop("epochs", usual.search_recipe.epochs))
        settings.update({**sized, **user.settings})
        if "starters" in settings:
            near = partial(_near, space, final_recipe, len(self.modality.data.train))
            settings["starters"] = _starters(settings["starters"], usual.settings.get("starters", {}), space, near)
        if settings.get("pareto"):
            settings = {"finalists": FRONT, **settings, "shortlist": user.settings.get("shortlist", 1)}
        controller, controller_settings = self._controller(space, usual, method, settings)
        if settings.get("engine", "local") != "local":
            settings, controller_settings = on_a_cluster(settings, controller_settings, str(self.base["device"]))
        search = Search(space, method(), controller, controller_settings, recipe=_changed(recipe, user.search_recipe))
        final = FinalTraining(space.final(**frozen(final_fields)), final_recipe)
        plan = self._in_ways(Plan(**self.base, search=search, final=final).changed(settings))
        return plan.changed({"known": usual_share(plan, self.modality, user.settings)})

    def _in_ways(self, plan: Plan) -> Plan:
        """Return the plan with networks that are run in the way that costs least, where an aim reads what that is.

        Final training offers the other ways as well, unless the user said which.
        """
        search, final, user = plan.search, plan.final, self.user
        given, frugal = {*user.space_fields, *user.final_space_fields}, dict[str, Any]()
        for fields in final.space.ways.values():
            if not given & fields.keys() and all(getattr(final.space, name) == v for name, v in fields.items()):
                frugal |= {f.name: f.default for f in dataclasses.fields(final.space) if f.name in fields}
        if not frugal or not {*OF_A_PASS} & {*search.aims.costs} or not user.settings.get("ways", True):
            return plan
        final = replace(final, space=replace(final.space, **frugal), ways=True)
        return replace(plan, search=replace(search, space=replace(search.space, **frugal)), final=final)

    def _controller(
        self, space: Space, usual: Preset, method: Any, settings: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Return the controller and its settings.

        Unless the user names one it is the method's own, `guided` when trials are expensive and few (docs/lab.md), or
        the paper's. A policy's settings follow the number of expensive trials; only the paper preset has the paper's.
        """
        name, trials = self.user.controller, settings["trials"]
        if name is None:
            few = not as_published(self.preset) and method.expensive and trials < FEW_TRIALS
            usually = method.controller or ("guided" if few else presets_of(type(space)).controller)
            name = "reinforce" if settings.get("replicas") else usually
        defaults: Mapping[str, Any] = usual.controllers.get(name, {})
        if method.expensive and not as_published(self.preset) and not settings.get("replicas"):
            decisions = len(sample(space.grown(trials or 0), 0).answers)
            defaults = for_budget(name, trials, decisions) or defaults
        if name == "guided" and trials < 4 * usual_start(space):  # a quarter of a small budget for the start, not more
            defaults = {**defaults, "start": max(3, trials // 4)}
        return name, {**defaults, **self.user.controller_settings}

    def narrowed(self, plan: Plan, near: Sequence[Architecture] | None = None) -> Plan:
        """Return the plan whose space has what costs about as much as known networks: `near`, or those that start.

        Where none starts, those of the preset say what suits the data.
        """
        search = plan.search
        known = search.method.known(search)
        if not (near := [*(near or known.values())]):
            usual = preset(self.preset, type(search.space), self.modality).settings.get("starters", {})
            near = [Architecture.from_json(one) for one in usual.values()]
        space = search.method.narrowed(search.space, near)
        if space == search.space:
            return plan
        starters = {name: replay(space, one.answers).to_json() for name, one in known.items()}
        return replace(plan, search=replace(search, space=space)).changed({"starters": starters})

    def threaded(self, plan: Plan) -> Plan:
        """Return the plan with the threads that are used from here on: the user's, or the faster number."""
        if self.choose_threads:
            return with_threads(plan, self.modality)
        pin_threads(plan)
        return plan

    def estimated(self, plan: Plan, rates: Rates) -> Plan:
        """Return the plan with what it is expected to take, and the rates that say so."""
        measured = {"child step": rates.child_step, **rates.search}
        return plan.changed({"estimate": estimate(plan, self.modality, rates), "rates": measured})

    def suited(self, plan: Plan) -> Plan:
        """Return the plan with the controller for the trials that fit."""
        cls, search = space_class(self.user.space), plan.search
        if self.user.controller is not None or search.trials < FEW_TRIALS or search.controller != "guided":
            return plan
        usual = preset(self.preset, cls, self.modality)
        name, settings = self._controller(search.space, usual, search.method, {"trials": search.trials})
        return replace(plan, search=replace(search, controller=name, controller_settings=settings))


def _near(space: Space, recipe: Recipe, examples: int) -> dict[str, Architecture]:
    """Return the known networks of a space at `START_SIZE`, or as much smaller as its limits demand."""
    sizes = [START_SIZE / parts for parts in (8, 4, 2, 1)]
    return {name: one for size in sizes for name, one in space.known(size, recipe, examples).items()}


def _starters(
    names: Any, known: Mapping[str, Any], space: Space, near: Callable[[], Mapping[str, Architecture]]
) -> Mapping[str, Any]:
    """Return the known networks of a preset that the user wants: all, none, or those named, in that order.

    They are those of the space as the user set it, or what is `near` them there; what it lacks is left out.
    """
    fitted, nearest = dict[str, Any](), None
    for name, written in (names if isinstance(names, Mapping) else known).items():
        try:
            fitted[name] = replay(space, Architecture.from_json(written).answers).to_json()
        except SpaceError:
            nearest = near() if nearest is None else nearest
            if name in nearest:
                fitted[name] = nearest[name].to_json()
    if isinstance(names, Mapping) or names == "all":
        return fitted
    wanted = [] if names == "none" else [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in known:
            raise ConfigError(f"starters: {space.name} has no {name!r}; {offered(name, ('all', 'none', *known))}")
        if name not in fitted:
            raise ConfigError(f"starters: {space.name} with these settings cannot have {name}")
    return {name: fitted[name] for name in wanted}


def _changed(recipe: Recipe, fields: Mapping[str, Any]) -> Recipe:
    try:
        return replace(recipe, **fields)
    except TypeError as error:
        raise ConfigError(f"a recipe has no such field: {error}") from None
