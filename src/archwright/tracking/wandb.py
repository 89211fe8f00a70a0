"""Weights & Biases: a run for the search, and one for each trial in its group. WANDB_MODE=offline keeps all here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from archwright.loop import Trial
from archwright.tracking.protocol import PAGES, PICTURES, TrackedRun, answers, trial_values

MOST = 1000  # trials with a run of their own; each takes a moment to begin. Curves have every trial.


class Wandb:
    """Tracks a run with Weights & Biases, in the project WANDB_PROJECT, or `archwright`."""

    where = ""

    def begin(self, run: TrackedRun, known: str | None) -> str:
        self._run = self._begun(run.name, dict(run.settings), id=known, resume=None if known is None else "allow")
        self.where = str(self._run.settings.sync_dir if self._run.offline else self._run.url)
        self._steps: set[str] = set()
        return str(self._run.id)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        # Its own steps only rise, so each group of names has an axis of its own.
        groups = {name.partition("/")[0] for name in values}
        for group in groups - self._steps:
            self._run.define_metric(f"{group}/*", step_metric=f"{group}/step")
        self._steps |= groups
        self._run.log({**values, **{f"{group}/step": step for group in groups}})

    def trial(self, trial: Trial) -> None:
        if trial.number >= MOST:
            return
        settings = {"architecture": trial.architecture.id, **answers(trial.architecture)}
        own = self._begun(f"trial {trial.number}", settings, group=self._run.id, job_type="trial")
        own.log({name.partition("/")[2]: value for name, value in trial_values(trial).items()})
        own.finish(exit_code=int(trial.result.error is not None))

    def artefacts(self, run: TrackedRun) -> None:
        import wandb

        self._run.log({path.stem: wandb.Image(str(path)) for path in run.files(*PICTURES)})
        found = wandb.Artifact(f"{self._run.id}-run", type="run")
        for path in run.files(*PICTURES, *PAGES):
            found.add_file(str(path))
        if run.model is not None:
            for path in sorted(run.model.iterdir()):  # `add_dir` prints
                found.add_file(str(path), name=f"model/{path.name}")
        self._run.log_artifact(found)

    def end(self, state: str) -> None:
        self._run.finish(exit_code=0 if state == "finished" else 1)

    def _begun(self, name: str, settings: Mapping[str, Any], **more: Any) -> Any:
        import wandb

        quiet = wandb.Settings(silent=True, console="off")
        project = os.environ.get("WANDB_PROJECT", "archwright")
        return wandb.init(
            project=project, name=name, config=dict(settings), reinit="create_new", settings=quiet, **more
        )
