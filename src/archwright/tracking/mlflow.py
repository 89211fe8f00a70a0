"""MLflow: trials are runs nested in the run. MLFLOW_TRACKING_URI says where; without it, `mlflow.db` in this folder."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

from archwright.loop import Trial
from archwright.tracking.protocol import PAGES, PICTURES, TrackedRun, answers, trial_values

MOST = 100  # settings in one request (MLflow's limit)
LONGEST = 6000  # characters of a value (MLflow's limit)
STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class Mlflow:
    """Tracks a run with MLflow, in the experiment MLFLOW_EXPERIMENT_NAME, or `archwright`."""

    where = ""

    def begin(self, run: TrackedRun, known: str | None) -> str:
        import mlflow
        from mlflow.exceptions import MlflowException

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it reports each table of a new database
        self._client = mlflow.MlflowClient()
        self.where = str(mlflow.get_tracking_uri())
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "archwright")
        found = self._client.get_experiment_by_name(name)
        self._experiment: str = found.experiment_id if found else self._client.create_experiment(name)
        if known is not None:
            try:
                self._client.update_run(known, status="RUNNING")
                self._id = known
                return known
            except MlflowException:  # another store
                pass
        self._id = self._created(run.name, {"archwright.folder": str(run.folder)}, time.time())
        self._settings(self._id, run.settings)
        return self._id

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        self._logged(self._id, values, step)

    def trial(self, trial: Trial) -> None:
        error = {} if trial.result.error is None else {"archwright.error": trial.result.error[:LONGEST]}
        tags = {"mlflow.parentRunId": self._id, "archwright.trial": str(trial.number), **error}
        child = self._created(f"trial {trial.number}", tags, time.time() - trial.seconds)
        self._settings(child, {"architecture": trial.architecture.id, **answers(trial.architecture)})
        self._logged(child, {name.partition("/")[2]: value for name, value in trial_values(trial).items()}, 0)
        self._client.set_terminated(child, STATES["failed" if error else "finished"])

    def artefacts(self, run: TrackedRun) -> None:
        for path in run.files(*PICTURES, *PAGES):
            self._client.log_artifact(self._id, str(path))
        if run.model is not None:
            self._client.log_artifacts(self._id, str(run.model), "model")

    def end(self, state: str) -> None:
        self._client.set_terminated(self._id, STATES[state])

    def _created(self, name: str, tags: Mapping[str, str], begun: float) -> str:
        made = self._client.create_run(self._experiment, int(1000 * begun), dict(tags), name)
        return str(made.info.run_id)

    def _settings(self, run: str, settings: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        pairs = [Param(name, str(value)[:LONGEST]) for name, value in settings.items()]
        for first in range(0, len(pairs), MOST):
            self._client.log_batch(run, params=pairs[first : first + MOST])

    def _logged(self, run: str, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self._client.log_batch(run, metrics=[Metric(name, value, now, step) for name, value in values.items()])
