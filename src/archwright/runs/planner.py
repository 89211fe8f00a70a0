"""Making a plan: a preset, what the user set, and, for a wall-time budget, a short measurement."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from archwright.errors import ConfigError
from archwright.runs.components import space_class, with_fields
from archwright.runs.plan import Plan
from archwright.runs.timing import FORWARD, Rates, cost, measure
from archwright.space import Space
from archwright.training.device import resolve_device
from archwright.training.recipe import ENAS_MICRO_SEARCH, Recipe

if TYPE_CHECKING:
    from archwright.data.images import ImageData

PRESETS = ("small", "paper")
MARGIN = 0.97  # of a wall-time budget is planned; loading, measuring and writing take the rest
SHARE_OF_TRIALS = 0.25  # of search time; ENAS scores 300 trials x 160 images an epoch, forward only: about a quarter
ROUND_SECONDS = 10.0  # of shared training and trials in turn: often enough for the controller, rare enough to be cheap
# Widths and repeats to try, the smallest first. Multiples of 16 channels: others are slow on CPUs in channels_last.
SIZES = ((16, 1), (32, 1), (32, 2), (48, 2), (48, 3), (64, 4), (64, 5))
SEARCH_PASSES, FINAL_PASSES = 8.0, 20.0  # over the training images, at least, for a larger network to be worth it


@dataclass(frozen=True)
class Wishes:
    """What the user set; everything else is the preset's or planned. Mappings are fields of the component."""

    space: str = "enas-micro"
    space_fields: Mapping[str, Any] = field(default_factory=dict)
    final_space_fields: Mapping[str, Any] = field(default_factory=dict)
    controller: str = "reinforce"
    controller_settings: Mapping[str, Any] = field(default_factory=dict)
    search_recipe: Mapping[str, Any] = field(default_factory=dict)
    final_recipe: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # other fields of Plan


def make_plan(
    data: ImageData,
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

    found = resolve_device(device)
    base = {
        "data": data_name,
        "data_options": dict(data_options),
        "fingerprint": data.fingerprint,
        "controller": wishes.controller,
        "controller_settings": dict(wishes.controller_settings),
        "seed": seed,
        "device": str(found),
        "threads": torch.get_num_threads(),
        "minutes": minutes,
    }
    plan = _paper(wishes, base) if preset == "paper" else _small(data, wishes, base)
    if plan.evaluator == "shared-weights" and not plan.space.shares_weights:
        raise ConfigError(f"the space {plan.space.name} as configured shares no weights; use --evaluator from-scratch")
    if minutes is not None:
        return _within(minutes * 60, data, plan, wishes)
    return replace(plan, estimate=estimate(plan, data, measure(plan, data))) if timed else plan


def _paper(wishes: Wishes, base: dict[str, Any]) -> Plan:
    """ENAS micro as published: the defaults of every component."""
    cls = space_class(wishes.space)
    space = with_fields(cls, wishes.space_fields)
    return _plan(
        wishes,
        base,
        space,
        space.final(**_frozen(wishes.final_space_fields)),
        ENAS_MICRO_SEARCH,
        Recipe(),
        {"trials": 150 * 300, "trials_per_epoch": 300, "samples": 10},
        {},
    )


def _small(data: ImageData, wishes: Wishes, base: dict[str, Any], size: tuple[int, int] = SIZES[0]) -> Plan:
    """Networks of a size and training of a length for a CPU: what differs from the papers differs for speed."""
    cls = space_class(wishes.space)
    names = {f.name for f in dataclasses.fields(cls)}
    sizes = {k: v for k, v in {"filters": size[0], "repeats": size[1]}.items() if k in names}
    space = with_fields(cls, {**sizes, **wishes.space_fields})
    final = {**sizes, **{k: v for k, v in {"drop_path_keep": 0.9, "dropout": 0.1}.items() if k in names}}
    carried = {k: v for k, v in wishes.space_fields.items() if k in sizes}
    final_space = space.final(**_frozen({**final, **carried, **wishes.final_space_fields}))
    task = data.task
    batch = 64 if len(data.train) < 8192 else 128
    common: dict[str, Any] = {
        "batch": batch,
        # Crops as far as the paper's 4 of 32 pixels; only colour photographs are mirrored without being told to.
        "pad": max(1, min(task.height, task.width) // 8),
        "flip": task.channels == 3,
    }
    rounds, trials_per_epoch = 20, 30
    return _plan(
        wishes,
        base,
        space,
        final_space,
        replace(ENAS_MICRO_SEARCH, **common, epochs=rounds),
        replace(Recipe(), **common, epochs=30),
        {"trials": rounds * trials_per_epoch, "trials_per_epoch": trials_per_epoch, "samples": 30},
        {"learning_rate": 3.5e-3},  # the official micro script's; the paper's 3.5e-4 is for 2,000 steps an epoch
    )


def _plan(
    wishes: Wishes,
    base: dict[str, Any],
    space: Space,
    final_space: Space,
    search_recipe: Recipe,
    final_recipe: Recipe,
    counts: dict[str, Any],
    controller_settings: dict[str, Any],
) -> Plan:
    if wishes.controller != "reinforce":
        controller_settings = {}
    settings = dict(wishes.settings)
    search_recipe = _changed(search_recipe, wishes.search_recipe)
    if "trials" not in settings and "epochs" in wishes.search_recipe and settings.get("evaluator") != "from-scratch":
        per_epoch = settings.get("trials_per_epoch", counts["trials_per_epoch"])
        counts = {**counts, "trials": int(search_recipe.epochs * per_epoch)}
    if settings.get("evaluator") == "from-scratch":
        counts = {**counts, "trials": 20, "trials_per_epoch": 1}
        if "epochs" not in wishes.search_recipe:
            search_recipe = replace(search_recipe, epochs=max(1, final_recipe.epochs // 5))
    return Plan(
        **{
            **base,
            "space": space,
            "final_space": final_space,
            "search_recipe": search_recipe,
            "final_recipe": _changed(final_recipe, wishes.final_recipe),
            **counts,
            **settings,
            "controller_settings": {**controller_settings, **wishes.controller_settings},
        }
    )


def _changed(recipe: Recipe, fields: Mapping[str, Any]) -> Recipe:
    try:
        return replace(recipe, **fields)
    except TypeError as error:
        raise ConfigError(f"a recipe has no such field: {error}") from None


def _frozen(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def estimate(plan: Plan, data: ImageData, rates: Rates) -> dict[str, float]:
    """Seconds by phase."""
    per_epoch = -(-len(data.train) // plan.search_recipe.batch)
    if plan.evaluator == "shared-weights":
        search = plan.epochs * (plan.steps_per_epoch or per_epoch) * rates.shared_step + plan.trials * rates.trial
        derive = plan.samples * rates.trial * (plan.rank_minibatches or _minibatches(plan, data))
    else:
        search = plan.trials * _child_seconds(plan, data, rates) / plan.workers
        derive = 0.0
    one = cost(plan, data, rates.child_step).of(plan.final_recipe.epochs)
    final = plan.finalists * one
    random = max(plan.finalists, int((search + derive + final) / one)) * one if plan.baseline else 0.0
    return {
        "search": search,
        "derive": derive,
        "final training": final,
        "random search": random,
        "test": _test_seconds(plan, data, rates),
    }


def _child_seconds(plan: Plan, data: ImageData, rates: Rates) -> float:
    """Of one child of a search that trains every child."""
    recipe = plan.search_recipe
    scaled = rates.child_step * recipe.batch / plan.final_recipe.batch
    training = recipe.epochs * scaled * -(-len(data.train) // recipe.batch)
    return training + scaled * FORWARD * len(data.validation) / recipe.batch  # once, at its end


def _minibatches(plan: Plan, data: ImageData) -> int:
    return max(1, len(data.validation) // (plan.evaluation_batch or plan.search_recipe.batch))


def _test_seconds(plan: Plan, data: ImageData, rates: Rates) -> float:
    """Of the network found and a few random ones, on the test part, and of the pictures."""
    look = rates.child_step * FORWARD * len(data.test) / plan.final_recipe.batch
    return 4.0 + 3 * look


def _within(seconds: float, data: ImageData, plan: Plan, wishes: Wishes) -> Plan:
    """The plan that fills `seconds`: half for the search itself, the other half for its baseline if there is one."""
    base = {
        name: getattr(plan, name)
        for name in ("data", "data_options", "fingerprint", "controller", "controller_settings", "seed", "device")
    }
    base |= {"threads": plan.threads, "minutes": plan.minutes}
    chosen: Plan | None = None
    for size in SIZES:
        candidate = _small(data, wishes, base, size)
        fitted, passes = _fitted(seconds, data, candidate, measure(candidate, data), wishes)
        if chosen is not None and (passes[0] < SEARCH_PASSES or passes[1] < FINAL_PASSES):
            break
        if chosen is not None and candidate.final_space == chosen.final_space:  # the user fixed the size
            break
        chosen = fitted
        if passes[0] < 2 * SEARCH_PASSES or passes[1] < 2 * FINAL_PASSES:
            break
    assert chosen is not None
    return chosen


def _fitted(
    seconds: float, data: ImageData, plan: Plan, rates: Rates, wishes: Wishes
) -> tuple[Plan, tuple[float, float]]:
    minibatches = max(1, min(_minibatches(plan, data), int(0.04 * seconds / plan.samples / max(rates.trial, 1e-9))))
    derive = plan.samples * rates.trial * minibatches if plan.evaluator == "shared-weights" else 0.0
    work = MARGIN * seconds - _test_seconds(plan, data, rates) - derive
    own = max(0.2 * seconds, work) * (0.5 if plan.baseline else 1.0)
    search, final = own / 2, own / 2
    per_epoch = -(-len(data.train) // plan.search_recipe.batch)
    batch = int(plan.controller_settings.get("batch", 10))
    if plan.evaluator == "shared-weights":
        steps = max(8, int(search * (1 - SHARE_OF_TRIALS) / rates.shared_step))
        rounds = max(4, min(150, round(search / ROUND_SECONDS)))
        steps_per_epoch = max(2, steps // rounds)
        trials_per_epoch = max(batch, int(search * SHARE_OF_TRIALS / rounds / rates.trial) // batch * batch)
        passes = steps / per_epoch
        changes: dict[str, Any] = {
            "trials_per_epoch": trials_per_epoch,
            "trials": rounds * trials_per_epoch,
            "steps_per_epoch": steps_per_epoch,
            "rank_minibatches": minibatches if minibatches < _minibatches(plan, data) else None,
            "search_recipe": replace(plan.search_recipe, **{"epochs": rounds, **wishes.search_recipe}),
        }
    else:
        passes = SEARCH_PASSES * 2
        changes = {"trials": max(1, int(search * plan.workers / _child_seconds(plan, data, rates)))}
    epochs = cost(plan, data, rates.child_step).epochs_within(final / plan.finalists)
    changes["final_recipe"] = replace(plan.final_recipe, **{"epochs": epochs, **wishes.final_recipe})
    fitted = replace(plan, **{k: v for k, v in changes.items() if k not in wishes.settings})
    return replace(fitted, estimate=estimate(fitted, data, rates)), (passes, epochs)


def pin_threads(plan: Plan) -> None:
    """Use as many threads as the plan was made with: sums depend on it, and a resumed run must give the same bits."""
    import torch

    if plan.threads:
        torch.set_num_threads(plan.threads)
