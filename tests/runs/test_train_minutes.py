"""`archwright train --minutes`: as many passes as the time has, and one line where it has none."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from archwright.__main__ import main
from archwright.modalities import modality, read
from archwright.runs.assembly import network_of
from archwright.runs.minutes import InMinutes
from archwright.runs.planner import UserSettings, make_plan
from archwright.space import replay, sample
from archwright.spaces.stages import Stages
from archwright.training.fit import Fit

SPACE = Stages(widths=(8,), blocks=(1,), most_stages=1, training=False)
ARCHITECTURE = sample(SPACE, 0)
LEFT = 6.0  # seconds of ten minutes


def test_a_training_takes_the_time_that_is_left() -> None:
    data = read("digits", seed=0, limit=100)
    user = UserSettings("stages", dict(ARCHITECTURE.fields))
    plan = make_plan(data, user, data_name="digits", data_options={}, device="cpu", threads=1, timed=False)
    whole = InMinutes(plan, modality(data), ARCHITECTURE, 10.0, time.monotonic())
    begun = time.monotonic()
    timed = InMinutes(plan, modality(data), ARCHITECTURE, 10.0, begun - 0.99 * 600 + LEFT)
    assert whole.epochs > 10 * timed.epochs > 1
    plan = timed.changed(plan)
    network = network_of(plan, modality(data), ARCHITECTURE)
    fit = Fit(network, modality(data), plan.final.recipe, seed=0, device="cpu")
    last = list(timed.run(fit))[-1]
    assert last.step == fit.steps
    assert time.monotonic() - begun < 2 * LEFT  # on a busy machine


def test_an_architecture_that_decides_its_batch_is_counted_in_its_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    data = read("digits", seed=0, limit=1000)
    space = Stages(widths=(8,), blocks=(1,), most_stages=1, batches=(32, 256))
    monkeypatch.setattr("archwright.runs.minutes.step_seconds", lambda *_: 0.1)
    epochs = []
    for batch in space.batches:
        architecture = replay(space, {**dict(sample(space, 0).answers), "batch": batch})
        user = UserSettings("stages", dict(architecture.fields))
        plan = make_plan(data, user, data_name="digits", data_options={}, device="cpu", threads=1, timed=False)
        epochs.append(InMinutes(plan, modality(data), architecture, 10.0, time.monotonic()).epochs)
    # A pass over 1,000 images takes 3.2 s and 0.4 s, a look at validation a third of its share.
    assert epochs[1] > 7 * epochs[0]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--minutes", "1", "--epochs", "2"], "leave out --epochs"),
        (["--minutes", "0"], "it must be greater than zero"),
        (["--minutes", "0.001"], "are over before the training begins; 2 passes over the training part take"),
    ],
)
def test_minutes_that_cannot_be(
    given: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps(ARCHITECTURE.to_json()))
    words = ["train", str(path), "--limit", "100", "--device", "cpu", "--to", str(tmp_path / "model")]
    assert main([*words, *given]) == 2
    assert line in capsys.readouterr().err
