"""Runs as studies of Optuna, for those who look at searches with optuna-dashboard (extra `optuna`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from archwright.components import space_for
from archwright.controllers.optuna_sampler import answered
from archwright.dashboard.hosts import allowed
from archwright.errors import ArchwrightError, MissingExtra
from archwright.space import Architecture
from archwright.spaces import SPACES
from archwright.store import RunStore
from archwright.stored import reading

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class _Mirrored:
    study: Any
    told: int = 0
    waiting: dict[int, int] = field(default_factory=dict)  # ids in the storage of trials under way, by our number


class Mirror:
    """Copies the trials of runs into studies in memory, one for each run, of its name. `update` takes new ones in.

    Nothing is written into a run folder, and what is changed in the studies is forgotten at the end.
    """

    def __init__(self) -> None:
        try:
            import optuna
        except ImportError:
            raise MissingExtra("--optuna needs Optuna and its dashboard: pip install 'archwright[optuna]'") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna: Any = optuna
        self.storage = optuna.storages.InMemoryStorage()
        self._runs: dict[Path, _Mirrored] = {}

    def update(self, folders: Iterable[Path]) -> list[str]:
        """Take new trials in; return in words what could not be read."""
        problems = []
        for folder in folders:
            try:
                with RunStore.reading(folder) as store, reading(folder):
                    self._take(store, folder)
            except ArchwrightError as error:
                problems.append(str(error))
        return problems

    def _take(self, store: RunStore, folder: Path) -> None:
        state, run = self._optuna.trial.TrialState, self._runs.get(folder)
        if run is None:
            names = {mirrored.study.study_name for mirrored in self._runs.values()}
            name = folder.resolve().name
            name = str(folder) if name in names else name
            study = self._optuna.create_study(study_name=name, direction="maximize", storage=self.storage)
            run = self._runs[folder] = _Mirrored(study)
        for number, _, _ in store.pending():
            if number not in run.waiting:
                made = self._trial(store.architecture(number), state.RUNNING, {"trial": number})
                run.waiting[number] = self.storage.create_new_trial(run.study._study_id, template_trial=made)
        for trial in store.trials(run.told):
            run.told += 1
            failed = trial.result.error is not None or not math.isfinite(trial.reward)
            ended, values = (state.FAIL, None) if failed else (state.COMPLETE, [trial.reward])
            noted: dict[str, Any] = {"trial": trial.number, "seconds": trial.seconds, **trial.result.metrics}
            noted |= {"error": trial.result.error} if trial.result.error else {}
            known = run.waiting.pop(trial.number, None)
            if known is None:
                made = self._trial(trial.architecture, ended, noted, values)
                self.storage.create_new_trial(run.study._study_id, template_trial=made)
                continue
            for name, value in noted.items():
                self.storage.set_trial_user_attr(known, name, value)
            self.storage.set_trial_state_values(known, ended, values)

    def _trial(self, architecture: Architecture, state: Any, noted: dict[str, Any], values: Any = None) -> Any:
        params: dict[str, Any] = {}
        options: dict[str, tuple[Any, ...]] = {}
        if architecture.space in SPACES:  # one of the user's own has no parameters here: its code is not loaded
            with suppress(ArchwrightError):
                params, options = answered(space_for(architecture), architecture)
        distributions = {n: self._optuna.distributions.CategoricalDistribution(v) for n, v in options.items()}
        return self._optuna.trial.create_trial(
            state=state,
            values=values,
            params=params,
            distributions=distributions,
            user_attrs={"architecture": architecture.id, **noted},
        )


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""


def server(mirror: Mirror, host: str, port: int) -> WSGIServer:
    """Return a server of optuna-dashboard on the mirror's studies; it answers to the names that `hosts` allows."""
    try:
        import optuna_dashboard
    except ImportError:
        raise MissingExtra("--optuna needs optuna-dashboard: pip install 'archwright[optuna]'") from None
    inner: Wsgi = optuna_dashboard.wsgi(mirror.storage)

    def guarded(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if not allowed(environ.get("HTTP_HOST", ""), host):
            start("421 Misdirected Request", [("content-type", "text/plain")])
            return [b"this server answers to the name of its own machine only\n"]
        return inner(environ, start)

    made = _Server((host, port), _Quiet)
    made.set_app(guarded)
    return made
