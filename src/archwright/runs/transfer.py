"""A found architecture at another size, for other data: a run without a search, that `resume` takes up like any other.

The plan is that of a run whose search is done: final training, then, if asked for, a random architecture of the same
space and a hand-made residual network of as many parameters trained the same way, then the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from archwright.components import space_class, space_for
from archwright.errors import ConfigError
from archwright.methods.cost import cost
from archwright.modalities import modality
from archwright.nets.network import without_auxiliary
from archwright.presets import transferred
from archwright.presets.values import side_of
from archwright.runs.assembly import network_of
from archwright.runs.folder import begin as begin_folder
from archwright.runs.folder import transfer_config
from archwright.runs.plan import Plan
from archwright.runs.planner import UserSettings, make_plan
from archwright.runs.rates import pin_threads, with_threads
from archwright.runs.timing import TIMED_STEPS, step_seconds
from archwright.space import Architecture, Space
from archwright.store import RunStore
from archwright.training.measure import parameters

SIZES = ("repeats", "filters")


def plan_transfer(
    architecture: Architecture,
    data: Any,
    *,
    source: str,
    data_name: str,
    data_options: Mapping[str, Any],
    final_space: Mapping[str, Any],
    final_recipe: Mapping[str, Any],
    compare: bool,
    published: Space | None = None,
    preset: str = "small",
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    space: str | None = None,
) -> Plan:
    """Return the plan. `final_space` and `final_recipe` are fields over those of the preset; `source` is recorded.

    `published`: the space of a published architecture, with its settings; they are those of the paper preset.
    """
    name = space or architecture.space
    cls, loaded = space_class(name), modality(data)
    if missing := [size for size in SIZES if size not in cls.__dataclass_fields__]:
        raise ConfigError(
            f"the space {cls.name} has no {missing[0]}: its architectures have one size; archwright train trains them"
        )
    if loaded.name != cls.data:
        raise ConfigError(f"the architecture is for {cls.data}, and {data.name} is {loaded.name}")
    space_for(architecture, name)
    usual_space, usual_recipe = transferred(preset, cls, side_of(data.task), published)
    user = UserSettings(
        space=name,
        space_fields=dict(architecture.fields),
        final_space_fields={**usual_space, **final_space},
        final_recipe={**usual_recipe, **final_recipe},
        settings={"trials": 1, "finalists": 1, "shortlist": 1, "samples": 1, "baseline": compare, "grid": False},
    )
    plan = make_plan(
        data,
        user,
        data_name=data_name,
        data_options=data_options,
        preset=preset,
        seed=seed,
        device=device,
        threads=threads,
        timed=False,
    )
    plan = replace(plan if threads is not None else with_threads(plan, loaded, architecture), transferred=source)
    pin_threads(plan)
    if compare:
        network = without_auxiliary(network_of(plan, loaded, architecture))
        plan = plan.changed({"reference": True, "residual": parameters(network)})
    step = step_seconds(plan, loaded, architecture, TIMED_STEPS)
    seconds = cost(plan.final.recipe, loaded, step).of(plan.final.recipe.epochs)
    phases = ("final training", "random search", "reference") if compare else ("final training",)
    return plan.changed({"estimate": dict.fromkeys(phases, seconds)})


def begin(plan: Plan, architecture: Architecture, folder: Path, overhead: float) -> RunStore:
    """Make the run folder, as if the architecture had just been derived in it."""
    return begin_folder(
        plan,
        folder,
        overhead,
        transfer_config(plan, SIZES),
        ranked=[[architecture.to_json(), 0.0]],
        settled={"random": int(plan.final.baseline), "epochs": float(plan.final.recipe.epochs)},
        **{"done/search": True, "done/derive": True},
    )
