"""`archwright list` on runs that have not ended."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from archwright.__main__ import main
from archwright.runs.planner import UserSettings, make_plan
from archwright.space import sample
from archwright.store import RunStore
from small_images import noise_data


def test_a_run_is_listed_with_its_data_and_the_phase_it_is_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"trials": 1, "baseline": False}
    user = UserSettings(space="nas-conv", space_fields={"layers": 1, "first_layers": 1}, settings=settings)
    plan = make_plan(noise_data(), user, data_name="photos", data_options={}, device="cpu", timed=False)
    with RunStore(tmp_path / "run", create=True) as store:
        store.put_all({"plan": plan.to_json(), "done/search": True, "done/derive": True})
    RunStore(tmp_path / "stopped", create=True).close()
    with RunStore(tmp_path / "bad", create=True) as store:
        store.put("plan", {"final": 3})
    assert main(["list", str(tmp_path), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["data"], row["state"]) for row in rows] == [
        ("", "damaged: KeyError('format')"),
        ("photos", "in final training"),  # there is no grid of recipes
        ("", "stopped before it began"),
    ]


FIGURES = {"data": "x", "per_class": {"a": {}}, "test_images": 9, "test_accuracy": 0.5, "test_interval": [0.4, 0.6]}
FIGURES |= {"parameters": 5, "multiply_adds": 7}


@pytest.mark.parametrize(
    "result",
    [
        *("3", "[]", '{"test_accuracy": 1}', '{"test_accuracy": 1, "per_class": 3, "test_images": "x"}'),
        json.dumps({**FIGURES, "per_class": [None]}),
        *(json.dumps({**FIGURES, name: value}) for name in ("test_accuracy", "parameters") for value in (math.nan, -1)),
        json.dumps({**FIGURES, "test_interval": [0.4, math.inf]}),
    ],
)
def test_a_damaged_result_is_one_line(result: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "result.json").write_text(result)
    assert main(["compare", str(tmp_path), "--no-pictures"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_that_has_not_ended_is_shown_at_its_own_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a transfer that was stopped: its architecture is settled, its size is the plan's."""
    final = {"filters": 7, "repeats": 1}
    user = UserSettings(space="nasnet", final_space_fields=final, settings={"trials": 1, "baseline": False})
    plan = make_plan(noise_data(), user, data_name="photos", data_options={}, device="cpu", timed=False)
    with RunStore(tmp_path / "run", create=True) as store:
        architecture = sample(plan.search.space, 0)
        store.put_all({"plan": plan.to_json(), "ranked": [[architecture.to_json(), 0.0]]})
    assert main(["show", str(tmp_path / "run"), "--no-pictures", "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)["fields"]
    assert {name: fields[name] for name in final} == final
