"""`archwright search`, `resume` and `finish`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archwright import api
from archwright.cli.commands import Parser, chosen, print_json
from archwright.cli.display import Display
from archwright.cli.flags import search_flags
from archwright.cli.guarded import INTERRUPTED
from archwright.cli.progress import OutputClosed
from archwright.files import target
from archwright.modalities import modality
from archwright.modalities.protocol import data_lines
from archwright.report.words import counted
from archwright.runs.floors import floor_line
from archwright.runs.folder import RUNS, new_folder, opened
from archwright.runs.job import Job
from archwright.runs.plan import PHASES, Plan
from archwright.runs.preparation import prepare
from archwright.tracking import trackers
from archwright.tracking.protocol import Tracker


def search(arguments: Sequence[str]) -> int:
    """Plan, show the plan, and run it."""
    flags = search_flags(arguments)
    follow = trackers(flags.track)
    begun = time.monotonic() - process_seconds()
    if not flags.dry_run:
        target(Path(flags.run or RUNS))
    with Display(json_output=flags.json) as display:
        prepared = prepare(
            flags.data,
            user=flags.user,
            preset=flags.preset,
            minutes=flags.minutes,
            seed=flags.seed,
            device=flags.device,
            threads=flags.threads,
            data_options=flags.data_options,
            begun=begun,
        )
        loaded = modality(prepared.data)
        for line in data_lines(loaded) + plan_lines(prepared.plan):
            display.say(line)
        if flags.dry_run:
            if flags.json:
                print_json({"plan": prepared.plan.to_json(), "data": loaded.remarks()})
            return 0
        folder = new_folder(flags.run, prepared.data.name)
        with prepared.begin(folder) as store:
            display.say(f"run folder: {folder}")
            return complete(Job(prepared.plan, prepared.data, store), display, flags.json, follow)


def process_seconds() -> float:
    """Return the seconds since this process began; those of its CPU time where the system does not say."""
    try:
        began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
    except (OSError, ValueError, IndexError, AttributeError):
        return time.process_time()


def resume(arguments: Sequence[str]) -> int:
    """Go on with a run."""
    return _take_up("resume", "go on with a run that was stopped or killed, to the same end", arguments, finish=False)


def finish(arguments: Sequence[str]) -> int:
    """End the search of a run now, and do the rest."""
    return _take_up("finish", "derive and train from what an interrupted search has so far", arguments, finish=True)


def _take_up(name: str, description: str, arguments: Sequence[str], *, finish: bool) -> int:
    parser = Parser(prog=f"archwright {name}", description=description)
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("--data", help="where the data is now, if it has moved")
    parser.add("space", "controller", "objective", "track", "json")
    parser.add_argument("--engine", help="where children are trained now, if not where they were: local, ray[:ADDRESS]")
    parser.add_argument("--workers", type=int, help="children that are trained at a time now")
    given = parser.parse_args(arguments)
    elsewhere, follow = chosen(vars(given), ("engine", "workers")), trackers(given.track)
    with Display(json_output=given.json) as display:
        named = {name: getattr(given, name) for name in ("space", "controller", "objective")}
        run = opened(given.run, data=given.data, **named)
        with run as (store, plan, data):
            for line in data_lines(modality(data)):
                display.say(line)
            job = Job(plan.changed(elsewhere), data, store, skip_search=finish)
            return complete(job, display, given.json, follow)


def complete(job: Job, display: Display, json_output: bool, follow: Mapping[str, Tracker]) -> int:
    """Run a job to its end, and say how it ended."""
    folder, tracked = job.store.folder, f" --track {','.join(follow)}" if follow else ""
    try:
        run = api.complete(job, display, follow)
    except KeyboardInterrupt:
        display.say(f"stopped; everything so far is in {folder}")
        display.say(f"  archwright resume {folder}{tracked}    goes on")
        if not job.store.get("done/search"):
            display.say(
                f"  archwright finish {folder}{tracked}    ends the search now, and trains the best architecture so far"
            )
        return INTERRUPTED
    except OutputClosed as closed:
        raise OutputClosed(f"{closed}; archwright resume {folder}{tracked} goes on") from None
    if json_output:
        print_json(run.result)
    else:
        for line in ["", *run.result["summary"]]:
            display.say(line)
    return 0


def plan_lines(plan: Plan) -> list[str]:
    """Return the plan in a few lines."""
    search, final, estimate = plan.search, plan.final, plan.budget.estimate
    lines = [f"space: {_sizes(search.space)}; final training: {_sizes(final.space)}"]
    lines.append(search.method.line(search, plan.cluster))
    epochs = counted(final.recipe.epochs, "epoch")
    more = "" if final.recipe.precision == "float32" else f", {final.recipe.precision}"
    more += ", images mirrored" * final.recipe.flip
    lines.append(
        f"final training: {final.finalists} of {search.method.source(search)}, {epochs}, batch {final.recipe.batch}"
        f"{more}; device {plan.device}, {counted(plan.threads, 'thread')}, seed {plan.seed}"
    )
    times = ", ".join(f"{name} {estimate[name]:.0f} s" for name in PHASES if estimate.get(name))
    total = sum(estimate.values())
    lines.append(f"time: about {total / 60:.1f} min ({times})")
    lines += [] if (floor := floor_line(plan)) is None else [floor]
    if plan.budget.minutes is None and total > 1800:
        lines.append("      --minutes N plans networks and training to fit a time")
    return lines


SIZES = ("layers", "nodes", "filters", "repeats", "stem_stride")


def _sizes(space: Any) -> str:
    sizes = {name: getattr(space, name) for name in SIZES if hasattr(space, name)}
    listed = ", ".join(f"{name} {value}" for name, value in sizes.items())
    return f"{space.name} ({listed})" if sizes else str(space.name)
