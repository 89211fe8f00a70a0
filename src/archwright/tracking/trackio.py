"""Trackio: a run for the search, and one for each trial in its group, in its folder here, or in TRACKIO_SPACE_ID."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from archwright.loop import Trial
from archwright.tracking.protocol import PAGES, PICTURES, TrackedRun, answers, trial_values

PROJECT = "archwright"
MOST = 1000  # trials with a run of their own; each takes half a second to end. Curves have every trial.


class Trackio:
    """Tracks a run with Trackio, in the project `archwright`."""

    where = ""

    def begin(self, run: TrackedRun, known: str | None) -> str:
        import trackio
        import trackio.run
        import trackio.utils

        for module in (trackio, trackio.run, trackio.utils):  # it prints where our JSON goes
            vars(module)["print"] = lambda *values, **settings: None
        self._name = known or f"{run.name}-{secrets.token_hex(2)}"
        self._run = self._begun(self._name, run.settings, resume="allow")
        self.where = f'trackio show --project "{PROJECT}", run {self._name}'
        return self._name

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def trial(self, trial: Trial) -> None:
        if trial.number >= MOST:
            return
        settings = {"architecture": trial.architecture.id, **answers(trial.architecture)}
        own = self._begun(f"{self._name} trial {trial.number}", settings, group=self._name)
        own.log({name.partition("/")[2]: value for name, value in trial_values(trial).items()})
        own.finish()

    def artefacts(self, run: TrackedRun) -> None:
        import trackio

        for path in run.files(*PICTURES):
            self._run.log({path.stem: trackio.Image(str(path))})
        found = trackio.Artifact(f"{self._name}-run", type="run")
        for path in run.files(*PICTURES, *PAGES):
            found.add_file(str(path))
        if run.model is not None:
            found.add_dir(str(run.model), name="model")
        self._run.log_artifact(found)

    def end(self, state: str) -> None:
        self._run.finish()

    def _begun(self, name: str, settings: Mapping[str, Any], **more: Any) -> Any:
        import trackio

        quiet = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        return trackio.init(PROJECT, name, config=dict(settings), **quiet, **more)
