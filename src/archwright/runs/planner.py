"""Making a plan: a preset, what the user set, and, for a wall-time budget, a short measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archwright.components import frozen, space_class, with_fields
from archwright.controllers.guided import START
from archwright.errors import ConfigError
from archwright.methods import method_class
from archwright.methods.cost import Rates, cost
from archwright.methods.protocol import Search
from archwright.modalities import modality
from archwright.presets import as_published, preset, presets_of
from archwright.presets.values import SIZES, Preset, Size
from archwright.runs.clock import (
    LATEST,
    MARGIN,
    REPORT_SECONDS,
    SHORT,
    estimate,
    test_seconds,
)
from archwright.runs.cluster import on_a_cluster
from archwright.runs.plan import Budget, DataSource, FinalTraining, Plan
from archwright.runs.timing import TIMED_SHARE, TIMED_STEPS, measure, step_seconds
from archwright.training.device import resolve_device
from archwright.training.precision import Precision
from archwright.training.recipe import Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Modality
    from archwright.space import Architecture, Space

FEW_TRIALS = 1000
SEARCH_PASSES, FINAL_PASSES = 8.0, 20.0  # over the training part, at least, for a larger network to be worth it


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


def make_plan(
    data: Any,
    user: UserSettings,
    *,
    data_name: str,
    data_options: Mapping[str, Any],
    preset: str = "small",
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    timed: bool = True,
    begun: float | None = None,
) -> Plan:
    """Return the plan for `data`. `preset` gives what `user` leaves open; `minutes` sizes it by measurement instead.

    `timed` measures what a counted plan will take. `begun` is the moment (`time.monotonic`) that `minutes` count from.
    """
    begun = time.monotonic() if begun is None else begun
    import torch

    if minutes is not None and as_published(preset):
        raise ConfigError("the paper preset has a counted budget; leave out --minutes, or use --preset small")
    base = {
        "data": DataSource(data_name, dict(data_options), data.fingerprint, modality(data).contract()),
        "budget": Budget(minutes),
        "seed": seed,
        "device": str(resolve_device(device)),
        "threads": torch.get_num_threads(),
    }
    planner = _Planner(modality(data), user, preset, base, begun)
    if minutes is not None:
        return planner.within(minutes * 60)
    plan = planner.plan()
    return planner.estimated(plan, measure(plan, planner.modality)) if timed else plan


@dataclass(frozen=True)
class _Planner:
    """Makes plans for one set of data and one user; `base` has the fields of the plan that do not depend on sizes."""

    modality: Modality
    user: UserSettings
    preset: str
    base: Mapping[str, Any]
    begun: float

    def plan(self, size: Size | None = None) -> Plan:
        """Return a preset, and over it what the user set."""
        user, cls = self.user, space_class(self.user.space)
        usual = preset(self.preset, cls, self.modality, size)
        final_recipe = _changed(usual.final_recipe, user.final_recipe)
        following = {name: getattr(final_recipe, source) for name, source in usual.follows.items()}
        space_fields, final_space = {**usual.space, **following}, {**usual.final_space, **following}
        space = with_fields(cls, {**space_fields, **user.space_fields})
        carried = {k: v for k, v in user.space_fields.items() if k in space_fields}
        final_fields = {**final_space, **carried, **user.final_space_fields}
        settings = dict(usual.settings)
        settings.setdefault("evaluator", "shared-weights" if space.shares_weights else "from-scratch")
        method = method_class(user.settings.get("evaluator", settings["evaluator"]))
        sized = method.sized(user.settings, usual.settings, user.search_recipe.get("epochs"), final_recipe)
        recipe = replace(usual.search_recipe, epochs=sized.pop("epochs", usual.search_recipe.epochs))
        settings.update({**sized, **user.settings})
        controller, controller_settings = self._controller(cls, usual, method, settings)
        if settings.get("engine", "local") != "local":
            settings, controller_settings = on_a_cluster(settings, controller_settings, str(self.base["device"]))
        search = Search(space, method(), controller, controller_settings, recipe=_changed(recipe, user.search_recipe))
        final = FinalTraining(space.final(**frozen(final_fields)), final_recipe)
        return Plan(**self.base, search=search, final=final).changed(settings)

    def _controller(
        self, cls: type[Space], usual: Preset, method: Any, settings: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """Return the controller and its settings.

        Unless the user names one it is `guided` when trials are expensive and few (docs/lab.md), otherwise the paper's.
        """
        name, trials = self.user.controller, settings["trials"]
        if name is None:
            few = not as_published(self.preset) and method.expensive and trials < FEW_TRIALS
            usually = "guided" if few else presets_of(cls).controller
            name = "reinforce" if settings.get("replicas") else usually
        defaults: Mapping[str, Any] = usual.controllers.get(name, {})
        if name == "guided" and trials < 4 * START:  # a quarter of a small budget for the start, not more
            defaults = {**defaults, "start": max(3, trials // 4)}
        return name, {**defaults, **self.user.controller_settings}

    def within(self, seconds: float) -> Plan:
        """Return the plan that fills `seconds`: half for the search itself, the other half for its baseline if any."""
        chosen: Plan | None = self._planned(seconds, self.plan(SIZES[0]))
        if chosen is not None:
            return chosen
        rates: Rates | None = None
        for size in SIZES:
            candidate = self.plan(size)
            if chosen is not None and candidate.final.space == chosen.final.space:  # the user fixed the size
                break
            rates = measure(candidate, self.modality, rates)
            fitted, passes = self._fitted(seconds, candidate, rates)
            if chosen is not None and (passes[0] < SEARCH_PASSES or passes[1] < FINAL_PASSES):
                break
            chosen = fitted
            if passes[0] < 2 * SEARCH_PASSES or passes[1] < 2 * FINAL_PASSES:
                break
        assert chosen is not None
        return chosen

    def _planned(self, seconds: float, plan: Plan) -> Plan | None:
        """Return the plan with what its method plans by itself, if it does."""
        measured: dict[str, float] = {}

        def step(architecture: Architecture, precision: Precision) -> float:
            recipe = replace(plan.final.recipe, precision=precision)
            at_precision = replace(plan, final=replace(plan.final, recipe=recipe))
            key = f"rate/{architecture.id}"
            measured[key] = step_seconds(at_precision, self.modality, architecture, TIMED_STEPS, TIMED_SHARE * seconds)
            return measured[key]

        final, user = plan.final, self.user
        left = min(LATEST * seconds, seconds - REPORT_SECONDS) - (time.monotonic() - self.begun)
        parts = 1 + final.baseline + final.reference
        fixed = user.settings.keys() | user.final_recipe.keys()
        settings = plan.search.method.planned(plan.context(self.modality), left / parts, fixed, step)
        if settings is None:
            return None
        final = replace(final, recipe=replace(final.recipe, **{**settings.pop("recipe"), **user.final_recipe}))
        plan = replace(plan, final=final).changed({**settings, **user.settings})
        rates = Rates(min(measured.values()), measured) if measured else measure(plan, self.modality)
        return self.estimated(plan, rates)

    def _fitted(self, seconds: float, plan: Plan, rates: Rates) -> tuple[Plan, tuple[float, float]]:
        """Return the plan with counts that fill `seconds`, and the passes of search and final training."""
        modality, search, final, user = self.modality, plan.search, plan.final, self.user
        context = plan.context(modality)
        ranking, derive = search.method.derivation(context, rates, seconds)
        work = MARGIN * seconds - test_seconds(plan, modality, rates) - derive
        # Search and final training, as much again for random search; a reference takes what final training takes.
        share = (0.5 if final.baseline else 1.0) / (1.2 if final.reference else 1.0)
        each = max(0.2 * seconds, work) * share / 2
        counts, passes = search.method.fitted(context, rates, each, user.search_recipe.keys())
        short = final.shortlist * SHORT if final.shortlist > 1 else 0.0
        epochs = cost(final.recipe, modality, rates.child_step).epochs_within(each / (final.finalists + short))
        recipe = replace(search.recipe, **{"epochs": counts.pop("epochs"), **user.search_recipe})
        search = replace(search, recipe=recipe)
        final = replace(final, recipe=replace(final.recipe, **{"epochs": epochs, **user.final_recipe}))
        settings = {k: v for k, v in {**ranking, **counts}.items() if k not in user.settings}
        fitted = self._suited(replace(plan, search=search, final=final).changed(settings))
        return self.estimated(fitted, rates), (passes, epochs)

    def estimated(self, plan: Plan, rates: Rates) -> Plan:
        """Return the plan with what it is expected to take, and the rates that say so."""
        measured = {"child step": rates.child_step, **rates.search}
        return plan.changed({"estimate": estimate(plan, self.modality, rates), "rates": measured})

    def _suited(self, plan: Plan) -> Plan:
        """Return the plan with the controller for the trials that fit."""
        cls, search = space_class(self.user.space), plan.search
        if self.user.controller is not None or search.trials < FEW_TRIALS or search.controller != "guided":
            return plan
        usual = preset(self.preset, cls, self.modality)
        name, settings = self._controller(cls, usual, search.method, {"trials": search.trials})
        return replace(plan, search=replace(search, controller=name, controller_settings=settings))


def _changed(recipe: Recipe, fields: Mapping[str, Any]) -> Recipe:
    try:
        return replace(recipe, **fields)
    except TypeError as error:
        raise ConfigError(f"a recipe has no such field: {error}") from None


def pin_threads(plan: Plan) -> None:
    """Use as many threads as the plan was made with: sums depend on it, and a resumed run must give the same bits."""
    import torch

    if plan.threads:
        torch.set_num_threads(plan.threads)
