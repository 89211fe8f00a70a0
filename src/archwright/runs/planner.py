"""Making a plan: a preset, what the user set, and, for a wall-time budget, a short measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archwright.components import space_class, with_fields
from archwright.controllers.guided import START
from archwright.errors import ConfigError
from archwright.runs.cluster import on_a_cluster
from archwright.runs.grid import GRID_SHARE, grid
from archwright.runs.plan import Plan
from archwright.runs.presets import PRESETS, SIZES, Preset, paper_controller, published, small
from archwright.runs.timing import FORWARD, Cost, Rates, cost, measure, per_step, steps
from archwright.training.device import resolve_device
from archwright.training.recipe import Recipe

if TYPE_CHECKING:
    from archwright.modalities.protocol import Data
    from archwright.space import Space

MARGIN = 0.97  # of a wall-time budget is planned; loading, measuring and writing take the rest
SHARE_OF_TRIALS = 0.25  # of search time; ENAS scores 300 trials x 160 images an epoch, forward only: about a quarter
ROUND_SECONDS = 10.0  # of shared training and trials in turn: often enough for the controller, rare enough to be cheap
SHORT = 1 / 6  # of final training, for the architectures on the shortlist
FEW_TRIALS = 1000
LEAST_CHILDREN = 40  # of a timed search that trains every child; their epochs are cut until so many fit
SEARCH_PASSES, FINAL_PASSES = 8.0, 20.0  # over the training images, at least, for a larger network to be worth it


@dataclass(frozen=True)
class Wishes:
    """What the user set; everything else is the preset's or planned. Mappings are fields of the component."""

    space: str = "enas-micro"
    space_fields: Mapping[str, Any] = field(default_factory=dict)
    final_space_fields: Mapping[str, Any] = field(default_factory=dict)
    controller: str | None = None
    controller_settings: Mapping[str, Any] = field(default_factory=dict)
    search_recipe: Mapping[str, Any] = field(default_factory=dict)
    final_recipe: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # other fields of Plan


def make_plan(
    data: Data,
    wishes: Wishes,
    *,
    data_name: str,
    data_options: Mapping[str, Any],
    preset: str = "small",
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    timed: bool = True,
) -> Plan:
    """The plan for `data`. `preset` gives what `wishes` leave open; `minutes` sizes it by measurement instead.

    `timed` measures what a counted plan will take.
    """
    if preset not in PRESETS:
        raise ConfigError(f"{preset!r} is not a preset; pick one of {', '.join(PRESETS)}")
    if minutes is not None and preset == "paper":
        raise ConfigError("the paper preset has a counted budget; leave out --minutes, or use --preset small")
    if minutes is not None and not minutes > 0:
        raise ConfigError(f"minutes is {minutes:g}; it must be greater than zero")
    import torch

    if preset == "paper" and wishes.controller is None:
        wishes = replace(wishes, controller=paper_controller(space_class(wishes.space)))
    found = resolve_device(device)
    base = {
        "data": data_name,
        "data_options": dict(data_options),
        "fingerprint": data.fingerprint,
        "seed": seed,
        "device": str(found),
        "threads": torch.get_num_threads(),
        "minutes": minutes,
    }
    cls = space_class(wishes.space)
    plan = _plan(published(cls) if preset == "paper" else small(cls, data), cls, wishes, base)
    if plan.evaluator == "shared-weights" and not plan.space.shares_weights:
        raise ConfigError(f"the space {plan.space.name} as configured shares no weights; use --evaluator from-scratch")
    if minutes is not None:
        return _within(minutes * 60, data, plan, wishes)
    return replace(plan, estimate=estimate(plan, data, measure(plan, data))) if timed else plan


def _plan(preset: Preset, cls: type[Space], wishes: Wishes, base: dict[str, Any]) -> Plan:
    """A preset, and over it what the user set."""
    space = with_fields(cls, {**preset.space, **wishes.space_fields})
    carried = {k: v for k, v in wishes.space_fields.items() if k in preset.space}
    final_space = space.final(**_frozen({**preset.final_space, **carried, **wishes.final_space_fields}))
    counts = dict(preset.settings)
    counts.setdefault("evaluator", "shared-weights" if space.shares_weights else "from-scratch")
    settings = dict(wishes.settings)
    search_recipe = _changed(preset.search_recipe, wishes.search_recipe)
    final_recipe = _changed(preset.final_recipe, wishes.final_recipe)
    if settings.get("evaluator", counts["evaluator"]) == "from-scratch":
        if "evaluator" not in preset.settings:  # the preset is for shared weights
            counts = {**counts, "trials": 20, "trials_per_epoch": 1, "warmup": 0, "shortlist": 1}
            if "epochs" not in wishes.search_recipe:
                search_recipe = replace(search_recipe, epochs=max(1, final_recipe.epochs // 5))
    elif "trials" not in settings and "epochs" in wishes.search_recipe:
        per_epoch = settings.get("trials_per_epoch", counts["trials_per_epoch"])
        rounds = search_recipe.epochs - settings.get("warmup", counts.get("warmup", 0))
        counts = {**counts, "trials": max(1, int(rounds * per_epoch))}
    counts.update(settings)
    usual = "reinforce" if counts.get("replicas") else usual_controller(cls, counts["evaluator"], counts["trials"])
    controller = wishes.controller or usual
    controller_settings = _controller_settings(controller, counts["trials"], preset, wishes)
    if counts.get("engine", "local") != "local":
        counts, controller_settings = on_a_cluster(counts, controller_settings, str(base["device"]))
    return Plan(
        **{
            **base,
            "controller": controller,
            "space": space,
            "final_space": final_space,
            "search_recipe": search_recipe,
            "final_recipe": final_recipe,
            "reference": cls.reference_name is not None,
            **counts,
            "controller_settings": controller_settings,
        }
    )


def usual_controller(cls: type[Space], evaluator: str, trials: int) -> str:
    """The controller where nobody names one: a model-based one where a trial is dear, which is the better below some
    hundreds of trials (docs/lab.md), and the paper's where there are thousands or the weights are shared."""
    return "guided" if evaluator == "from-scratch" and trials < FEW_TRIALS else paper_controller(cls)


def _controller_settings(controller: str, trials: int, preset: Preset, wishes: Wishes) -> dict[str, Any]:
    usual: Mapping[str, Any] = {"reinforce": preset.reinforce, "ppo": preset.ppo}.get(controller, {})
    if controller == "guided" and trials < 4 * START:  # a quarter of a small budget for the start, not more
        usual = {"start": max(3, trials // 4)}
    return {**usual, **wishes.controller_settings}


def _changed(recipe: Recipe, fields: Mapping[str, Any]) -> Recipe:
    try:
        return replace(recipe, **fields)
    except TypeError as error:
        raise ConfigError(f"a recipe has no such field: {error}") from None


def _frozen(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def estimate(plan: Plan, data: Data, rates: Rates) -> dict[str, float]:
    """Seconds by phase."""
    per_epoch = steps(plan.search_recipe, data)
    if plan.evaluator == "shared-weights":
        search = plan.epochs * (plan.steps_per_epoch or per_epoch) * rates.shared_step + plan.trials * rates.trial
        derive = plan.samples * rates.trial * (plan.rank_minibatches or _minibatches(plan, data))
    else:
        search = plan.trials * _child_cost(plan, data, rates).of(plan.search_recipe.epochs) / plan.workers
        derive = 0.0
    one = cost(plan.final_recipe, data, rates.child_step).of(plan.final_recipe.epochs)
    short = plan.shortlist * SHORT * one if plan.shortlist > 1 else 0.0
    derive += short
    final = plan.finalists * one
    random = max(plan.finalists, int((search + derive + final) / one)) * one if plan.baseline else 0.0
    reference = one if plan.reference else 0.0
    tried = len(grid(plan.final_recipe)) * GRID_SHARE * one if plan.grid else 0.0
    return {
        "search": search,
        "derive": derive,
        "grid": tried,
        "final training": final,
        "random search": random,
        "reference": reference,
        "test": _test_seconds(plan, data, rates),
    }


def _child_cost(plan: Plan, data: Data, rates: Rates) -> Cost:
    """Of one child of a search that trains every child."""
    recipe = plan.search_recipe
    return cost(recipe, data, rates.child_step * per_step(recipe, data) / per_step(plan.final_recipe, data))


def _minibatches(plan: Plan, data: Data) -> int:
    batch = plan.evaluation_batch or plan.search_recipe.batch
    return max(1, len(data.validation) // per_step(replace(plan.search_recipe, batch=batch), data))


def _test_seconds(plan: Plan, data: Data, rates: Rates) -> float:
    """Of the network found and a few random ones, on the test part, and of the pictures."""
    look = rates.child_step * FORWARD * len(data.test) / per_step(plan.final_recipe, data)
    return 4.0 + 3 * look


def _within(seconds: float, data: Data, plan: Plan, wishes: Wishes) -> Plan:
    """The plan that fills `seconds`: half for the search itself, the other half for its baseline if there is one."""
    base = {name: getattr(plan, name) for name in ("data", "data_options", "fingerprint", "seed", "device")}
    base |= {"threads": plan.threads, "minutes": plan.minutes}
    cls = space_class(wishes.space)
    chosen: Plan | None = None
    for size in SIZES:
        candidate = _plan(small(cls, data, size), cls, wishes, base)
        fitted, passes = _fitted(seconds, data, candidate, measure(candidate, data), wishes)
        if wishes.controller is None and candidate.controller == "guided" and fitted.trials >= FEW_TRIALS:
            usual = usual_controller(cls, "from-scratch", fitted.trials)
            settings = _controller_settings(usual, fitted.trials, small(cls, data, size), wishes)
            fitted = replace(fitted, controller=usual, controller_settings=settings)
        if chosen is not None and (passes[0] < SEARCH_PASSES or passes[1] < FINAL_PASSES):
            break
        if chosen is not None and candidate.final_space == chosen.final_space:  # the user fixed the size
            break
        chosen = fitted
        if passes[0] < 2 * SEARCH_PASSES or passes[1] < 2 * FINAL_PASSES:
            break
    assert chosen is not None
    return chosen


def _fitted(seconds: float, data: Data, plan: Plan, rates: Rates, wishes: Wishes) -> tuple[Plan, tuple[float, float]]:
    minibatches = max(1, min(_minibatches(plan, data), int(0.04 * seconds / plan.samples / max(rates.trial, 1e-9))))
    derive = plan.samples * rates.trial * minibatches if plan.evaluator == "shared-weights" else 0.0
    work = MARGIN * seconds - _test_seconds(plan, data, rates) - derive
    # Search and final training, as much again for random search; a reference takes what final training takes.
    share = (0.5 if plan.baseline else 1.0) / (1.2 if plan.reference else 1.0)
    own = max(0.2 * seconds, work) * share
    search, final = own / 2, own / 2
    per_epoch = steps(plan.search_recipe, data)
    batch = int(plan.controller_settings.get("batch", 10))
    if plan.evaluator == "shared-weights":
        count = max(8, int(search * (1 - SHARE_OF_TRIALS) / rates.shared_step))
        rounds = max(4, min(150, round(search / ROUND_SECONDS)))
        steps_per_epoch = max(2, count // rounds)
        scoring = search * SHARE_OF_TRIALS / (rounds - rounds // 3)
        trials_per_epoch = max(batch, int(scoring / rates.trial) // batch * batch)
        passes = count / per_epoch
        changes: dict[str, Any] = {
            "trials_per_epoch": trials_per_epoch,
            "warmup": rounds // 3,
            "trials": (rounds - rounds // 3) * trials_per_epoch,
            "steps_per_epoch": steps_per_epoch,
            "rank_minibatches": minibatches if minibatches < _minibatches(plan, data) else None,
            "search_recipe": replace(plan.search_recipe, **{"epochs": rounds, **wishes.search_recipe}),
        }
    else:
        passes = SEARCH_PASSES * 2
        each = _child_cost(plan, data, rates).epochs_within(search * plan.workers / LEAST_CHILDREN)
        recipe = replace(plan.search_recipe, **{"epochs": min(each, plan.search_recipe.epochs), **wishes.search_recipe})
        plan = replace(plan, search_recipe=recipe)
        changes = {"trials": max(1, int(search * plan.workers / _child_cost(plan, data, rates).of(recipe.epochs)))}
    short = plan.shortlist * SHORT if plan.shortlist > 1 else 0.0
    epochs = cost(plan.final_recipe, data, rates.child_step).epochs_within(final / (plan.finalists + short))
    changes["final_recipe"] = replace(plan.final_recipe, **{"epochs": epochs, **wishes.final_recipe})
    fitted = replace(plan, **{k: v for k, v in changes.items() if k not in wishes.settings})
    return replace(fitted, estimate=estimate(fitted, data, rates)), (passes, epochs)


def pin_threads(plan: Plan) -> None:
    """Use as many threads as the plan was made with: sums depend on it, and a resumed run must give the same bits."""
    import torch

    if plan.threads:
        torch.set_num_threads(plan.threads)
