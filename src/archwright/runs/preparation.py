"""A run before it begins: the data is loaded and the plan is made; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archwright.components import space_class
from archwright.errors import ConfigError
from archwright.modalities import MODALITIES, modality, read
from archwright.presets import default_space
from archwright.runs.folder import begin, config
from archwright.runs.plan import Plan
from archwright.runs.planner import UserSettings, make_plan
from archwright.store import RunStore
from archwright.training.device import resolve_device
from archwright.training.measure import tune_process


@dataclass
class Prepared:
    """A run that is planned and not begun: `plan` can be looked at, `begin` opens its folder."""

    plan: Plan
    data: Any
    overhead: float
    measured: Mapping[str, Any] = field(default_factory=dict)  # what networks cost, by the names of facts

    def begin(self, folder: Path) -> RunStore:
        """Make the run folder and freeze the plan in it."""
        return begin(self.plan, folder, self.overhead, config(self.plan), **self.measured)


def prepare(
    data: Any = None,
    *,
    user: UserSettings | None = None,
    preset: str = "small",
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    data_options: Mapping[str, Any] | None = None,
    begun: float | None = None,
    timed: bool = True,
) -> Prepared:
    """Load the data and make the plan; nothing is written.

    `begun`: the moment that `minutes` count from; now. `timed`: measure what a counted plan will take.
    """
    begun = time.monotonic() if begun is None else begun
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must be zero or more")
    resolve_device(device)  # before the data, which may take long to load
    tune_process()  # before anything is computed
    options = dict(data_options or {})
    user = user if user is not None else UserSettings(default_space(data))
    wanted = space_class(user.space).data
    source = MODALITIES[wanted].default_data if data is None else data
    loaded = read(source, seed=seed, wanted=wanted, **options)
    if modality(loaded).name != wanted:
        raise ConfigError(f"the space {user.space} is for {wanted}, and {loaded.name} is not; see archwright spaces")
    measured: dict[str, Any] = {}
    plan = make_plan(
        loaded,
        user,
        data_name=str(source) if isinstance(source, (str, Path)) else "python",
        data_options=options,
        preset=preset,
        minutes=minutes,
        seed=seed,
        device=device,
        threads=threads,
        begun=begun,
        timed=timed,
        measured=measured,
    )
    return Prepared(plan, loaded, time.monotonic() - begun, measured)
