"""TensorBoard: event files in RUN/tensorboard, trials as runs of its HParams page. It keeps no models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archwright.files import inside
from archwright.loop import Trial
from archwright.tracking.protocol import PICTURES, TrackedRun, answers, trial_values

MOST = 1000  # trials with a folder of their own; TensorBoard reads them all when it starts. Curves have every trial.


class TensorBoard:
    """Tracks a run with TensorBoard: `tensorboard --logdir RUN/tensorboard`, or of all runs, `--logdir runs`."""

    where = ""

    def begin(self, run: TrackedRun, known: str | None) -> str:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = inside(run.folder, "tensorboard")
        self.where = f"tensorboard --logdir {self._folder}"
        self._writer: Any = SummaryWriter(str(self._folder))
        if known is None:
            rows = "\n".join(f"| {name} | {value} |" for name, value in run.settings.items())
            self._writer.add_text("plan", f"| setting | value |\n|---|---|\n{rows}")
        return "tensorboard"

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def trial(self, trial: Trial) -> None:
        if trial.number >= MOST:
            return
        from torch.utils.tensorboard import SummaryWriter, summary

        values = {name: value for name, value in trial_values(trial).items() if name.startswith("trial/")}
        settings = {"architecture": trial.architecture.id, **answers(trial.architecture)}
        with SummaryWriter(str(self._folder / "trials" / f"{trial.number:05d}")) as writer:
            make: Any = summary.hparams
            for part in make(settings, values):
                writer.file_writer.add_summary(part)
            for name, value in values.items():
                writer.add_scalar(name, value, trial.number)

    def artefacts(self, run: TrackedRun) -> None:
        import numpy as np
        from PIL import Image

        for path in run.files(*PICTURES):
            with Image.open(path) as picture:
                self._writer.add_image(path.stem, np.asarray(picture.convert("RGB")), dataformats="HWC")
        report = run.folder / "report.md"
        if report in run.files(".md"):
            self._writer.add_text("report", Path(report).read_text(encoding="utf-8"))

    def end(self, state: str) -> None:
        self._writer.add_text("state", state)
        self._writer.close()
