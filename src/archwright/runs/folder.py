"""Run folders: making one, opening one, and the configuration file in it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from archwright.components import name_of_objective, space_to_json
from archwright.costs.target import Target
from archwright.errors import DataError, RunError
from archwright.files import write
from archwright.modalities import MODALITIES, read
from archwright.runs.plan import DataSource, Plan, upgraded
from archwright.runs.versions import command, versions
from archwright.space import Architecture
from archwright.store import RunStore
from archwright.stored import made, reading

RUNS = Path("runs")


def new_folder(run: str | Path | None, name: str) -> Path:
    """Return the run folder: the one named, or the next free one below `runs/`."""
    if run is not None:
        return Path(run)
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(name).stem)[:40] or "run"
    numbers = (f"{stem}-{number:03d}" for number in range(1, 100_000))
    return RUNS / next(n for n in numbers if not (RUNS / n).exists())


def begin(plan: Plan, folder: Path, overhead: float, config: Mapping[str, Any], **facts: Any) -> RunStore:
    """Make the run folder, freeze the plan in it, and record more `facts` by name.

    `overhead` are the seconds that loading and planning took; `config` is written as the configuration file.
    """
    import yaml

    facts |= {"plan": plan.to_json(), "overhead": overhead, "begun": time.strftime("%Y-%m-%d %H:%M:%S")}
    facts |= {"versions": versions(), "typed": command()}
    store = RunStore(folder, create=True)
    try:
        write(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True).encode())
        store.put_all(facts)  # at once: a transfer without the fact that its search is done would search
    except BaseException:
        store.close()
        raise
    return store


def config(plan: Plan) -> dict[str, Any]:
    """Return the plan as flags: `archwright search --config FILE` runs it again."""
    data = plan.to_json()
    search, final, cluster = data["search"], data["final"], data["cluster"]
    search |= {name: list(search[name]) or None for name in ("within", "pareto")}
    method = search.pop("method")
    flat = {
        "data": plan.data.name,
        "space": search.pop("space"),
        "final_space": final.pop("space"),
        "controller": search.pop("controller"),
        "controller_settings": search.pop("controller_settings"),
        "evaluator": method.pop("name"),
        "objective": search.pop("objective"),
        "objective_settings": search.pop("objective_settings"),
        "search_recipe": search.pop("recipe"),
        "final_recipe": final.pop("recipe"),
        **search,
        **method,
        **final,
        **cluster,
        "target": data["target"],
        "seed": plan.seed,
        "device": plan.device,
        "threads": plan.threads,
    }
    flat.pop("residual")
    return {**{k: v for k, v in flat.items() if v is not None}, **plan.data.options, "run": None}


def transfer_config(plan: Plan, sizes: tuple[str, ...]) -> dict[str, Any]:
    """Return the plan as flags: `archwright transfer RUN --config FILE` does it again."""
    fields = space_to_json(plan.final.space)
    return {
        "data": plan.data.name,
        **plan.data.options,
        **{name: fields.pop(name) for name in sizes},
        "compare": plan.final.baseline,
        "seed": plan.seed,
        "device": plan.device,
        "threads": plan.threads,
        "final_space": {k: v for k, v in fields.items() if k not in ("name", *plan.final.space.reads)},
        "final_recipe": plan.to_json()["final"]["recipe"],
    }


class opened:
    """A run folder opened for writing, with its plan and its data: a context manager of (store, plan, data)."""

    def __init__(
        self,
        run: str | Path,
        *,
        data: Any = None,
        space: str | None = None,
        controller: str | None = None,
        objective: Any = None,
    ) -> None:
        self._store = RunStore(Path(run))
        try:
            self.plan = stored_plan(self._store, space, controller, objective)
            self.data = _read_again(run, self.plan.data, data, self.plan.seed)
        except BaseException:
            self._store.close()
            raise

    def __enter__(self) -> tuple[RunStore, Plan, Any]:
        return self._store, self.plan, self.data

    def __exit__(self, *_: object) -> None:
        self._store.close()


def data_of(run: str | Path, data: Any = None) -> Any:
    """Return the data of a run, which is only read; `data` says where it is now.

    Raises:
        RunError: if it is not the data that the run was begun with.
    """
    with RunStore.reading(Path(run)) as store, reading(f"{run}: the plan"):
        stored = store.get("plan")
        if stored is None:
            raise RunError(f"{run} has no plan: the run was stopped before it began")
        plan = upgraded(stored)
        source, seed = made(DataSource, plan["data"], "data"), int(plan["seed"])
    return _read_again(run, source, data, seed)


def target_of(run: str | Path) -> Target:
    """Return where the networks of a run are to be run, as its search was told; what is usual if it has not begun."""
    with RunStore.reading(Path(run)) as store, reading(f"{run}: the plan"):
        stored = store.get("plan")
        return made(Target, upgraded(stored)["target"], "target") if stored is not None else Target()


def _read_again(run: str | Path, source: DataSource, data: Any, seed: int) -> Any:
    if data is None and source.name == "python":
        raise RunError(f"{run} was begun with data from Python; give it again: data=..., or --data FILE")
    try:
        found = read(source.name if data is None else data, seed=seed, **dict(source.options))
    except DataError as error:
        if data is not None:
            raise
        raise DataError(f"{error}; if the data has moved, --data says where it is now") from None
    if found.fingerprint != source.fingerprint:
        raise RunError(
            f"{run}: the data at {source.name} is not what the run was begun with "
            f"(fingerprint {found.fingerprint}, then {source.fingerprint}); --data says where that is"
        )
    return found


def stored_plan(
    store: RunStore, space: str | None = None, controller: str | None = None, objective: Any = None
) -> Plan:
    """Return the plan frozen in a run folder; what comes from the user's code is named, or given, again."""
    data = store.get("plan")
    if data is None:
        if (command := store.get("command")) in {kind.command for kind in MODALITIES.values()}:
            raise RunError(f"{store.folder}: archwright {command} --run {store.folder} goes on with it")
        raise RunError(f"{store.folder} has no plan: the run was stopped before it began; give the command again")
    if callable(objective):
        objective = name_of_objective(objective, data["search"]["objective"])
    return Plan.from_json(data, space_named=space, controller_named=controller, objective_named=objective)


def found_in(store: RunStore) -> Architecture:
    """Return the architecture that a finished run delivered."""
    found = store.get(f"candidate/{store.get('delivered', store.get('found'))}")
    return Architecture.from_json(found["architecture"])


def runs_below(folder: Path) -> Iterator[Path]:
    """Yield the run folders directly below `folder`, by name."""
    if folder.is_dir():
        yield from sorted(path.parent for path in folder.glob("*/run.sqlite"))
