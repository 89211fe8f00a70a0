"""What a finished run is compared with, on request: random architectures and a known network, for as much time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archwright.errors import RunError
from archwright.modalities import modality
from archwright.runs.job import Job
from archwright.runs.rivals import known_in
from archwright.space import Architecture

if TYPE_CHECKING:
    from archwright.runs.plan import Plan
    from archwright.store import RunStore

COMPARED = ("known network", "random search", "reference")  # the phases that train what a run is compared with


def with_baseline(plan: Plan, data: Any, store: RunStore) -> Job:
    """Return the job that trains and tests them, in the folder of the run; what is done already is not done again.

    The random search gets the time that search and final training took, and each network is trained as the one that
    was found. The run's deadline is over, so the clock decides nothing.
    """
    if store.get("found") is None:
        raise RunError(f"{store.folder} has no result yet: archwright resume {store.folder} goes on with it")
    settled, gain = dict(store.get("settled")), store.get("gain")
    reference = plan.final.reference_name is not None if gain is None else not gain["won"]
    final = replace(plan.final, recipe=replace(plan.final.recipe, epochs=settled["epochs"]))
    settings: dict[str, Any] = {"minutes": None, "baseline": True, "reference": reference}
    if gain is None and not reference and plan.transferred is None and known_in(modality(data)) is not None:
        settings["known"] = 1.0
    plan = replace(plan, final=final).changed(settings)
    job = Job(plan, data, store)
    if store.get("asked/baseline") is None:
        found = Architecture.from_json(store.get(f"candidate/{store.get('found')}")["architecture"])
        begun = {found: 0.0} if settled.get("seconds") is not None else {}
        count, _, expected = job.clock.settle([found], job.candidates.random, begun)
        undone = {f"done/{phase}": False for phase in (*COMPARED, "test")}
        facts = {"settled": {**settled, "random": count}, "estimate": expected, "result": None, "asked/baseline": True}
        store.put_all({**facts, **undone})
    elif any(phase in plan.wanted_phases and not store.get(f"done/{phase}") for phase in COMPARED):
        # It was stopped, and `resume` may have concluded the run without it since.
        store.put_all({"done/test": False, "result": None})
    return job
