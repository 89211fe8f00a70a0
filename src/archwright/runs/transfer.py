"""A found architecture at another size, for other data: a run without a search, that `resume` takes up like any other.

The plan is that of a run whose search is done: final training, then, if asked for, a random architecture of the same
space and a hand-made residual network of as many parameters trained the same way, then the test.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archwright.components import space_class, space_to_json, with_fields
from archwright.errors import ConfigError
from archwright.files import write
from archwright.modalities import modality
from archwright.nets.network import without_auxiliary
from archwright.runs.front import new_folder
from archwright.runs.plan import Plan
from archwright.runs.planner import Wishes, make_plan
from archwright.runs.timing import cost, network_of, step_seconds
from archwright.space import Architecture, Space, check
from archwright.spaces.published import IMAGENET
from archwright.store import RunStore
from archwright.training.measure import parameters
from archwright.training.recipe import NASNET_IMAGENET

SIZES = ("repeats", "filters")
ON_IMAGENET = {**IMAGENET, "drop_path_keep": 1.0}  # slim's mobile_imagenet_config
IMAGENET_SIDE = 128  # pixels from which the paper preset is the one for ImageNet
TIMED_STEPS = 3


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
    space: str | None = None,
) -> Plan:
    """The plan. `final_space` and `final_recipe` are fields over those of the preset; `source` is for the record.

    `published`: the space with its settings, of an architecture that is published; they are those of the paper preset.
    """
    name = space or architecture.space
    cls = space_class(name)
    _require_sizes(cls)
    if modality(data).name != cls.data:
        raise ConfigError(f"the architecture is for images, and {data.name} is text")
    fields = dict(architecture.fields)
    check(with_fields(cls, fields), architecture)
    usual_space, usual_recipe = _usual(cls, data, preset)
    if preset == "paper" and published is not None:
        usual_space = {f.name: getattr(published, f.name) for f in dataclasses.fields(published)}
        usual_space = {name: value for name, value in usual_space.items() if name not in cls.reads}
    wishes = Wishes(
        space=name,
        space_fields=fields,
        final_space_fields={**usual_space, **final_space},
        final_recipe={**usual_recipe, **final_recipe},
        settings={"trials": 1, "finalists": 1, "shortlist": 1, "samples": 1, "baseline": compare, "grid": False},
    )
    plan = make_plan(
        data,
        wishes,
        data_name=data_name,
        data_options=data_options,
        preset=preset,
        seed=seed,
        device=device,
        timed=False,
    )
    plan = dataclasses.replace(plan, transferred=source)
    if compare:
        network = without_auxiliary(network_of(plan, data, architecture))
        plan = dataclasses.replace(plan, reference=True, residual=parameters(network))
    seconds = cost(plan.final_recipe, data, step_seconds(plan, data, architecture, TIMED_STEPS)).of(
        plan.final_recipe.epochs
    )
    phases = ("final training", "random search", "reference") if compare else ("final training",)
    return dataclasses.replace(plan, estimate=dict.fromkeys(phases, seconds))


def begin(plan: Plan, architecture: Architecture, folder: Path, overhead: float) -> RunStore:
    """Make the run folder, as if the architecture had just been derived in it."""
    store = RunStore(folder, create=True)
    try:
        store.put("plan", plan.to_json())
        store.put("overhead", overhead)
        store.put("begun", time.strftime("%Y-%m-%d %H:%M:%S"))
        write(folder / "config.yaml", config_text(plan).encode())
        store.put("ranked", [[architecture.to_json(), 0.0]])
        store.put("settled", {"random": int(plan.baseline), "epochs": float(plan.final_recipe.epochs)})
        for phase in ("search", "derive"):
            store.put(f"done/{phase}", True)
    except BaseException:
        store.close()
        raise
    return store


def config_text(plan: Plan) -> str:
    """The plan as a configuration file: `archwright transfer RUN --config FILE` does it again."""
    import yaml

    fields = space_to_json(plan.final_space)
    sizes = {name: fields.pop(name) for name in SIZES}
    config = {
        "data": plan.data,
        **plan.data_options,
        **sizes,
        "compare": plan.baseline,
        "seed": plan.seed,
        "device": plan.device,
        "final_space": {k: v for k, v in fields.items() if k not in ("name", *plan.final_space.reads)},
        "final_recipe": plan.to_json()["final_recipe"],
    }
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    return text


def folder_for(named: str | Path | None, data: Any) -> Path:
    """The folder of a transfer to this data."""
    return new_folder(named, f"{Path(data.name).stem}-transfer")


def _usual(cls: type[Space], data: Any, preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the space and of the recipe over the preset's."""
    if preset == "paper":
        large = cls.name == "nasnet" and min(data.task.height, data.task.width) >= IMAGENET_SIDE
        return (dict(ON_IMAGENET), dataclasses.asdict(NASNET_IMAGENET)) if large else ({}, {})
    # As in appendix A.3, with an average over fewer steps than ImageNet has.
    return {}, {"label_smoothing": 0.1, "average": 0.99}


def _require_sizes(cls: type[Space]) -> None:
    names = {field.name for field in dataclasses.fields(cls)}
    if missing := [name for name in SIZES if name not in names]:
        raise ConfigError(
            f"the space {cls.name} has no {missing[0]}: its architectures have one size; archwright train trains them"
        )
