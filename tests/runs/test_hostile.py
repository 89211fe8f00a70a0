"""What a user's file does to a process: it works in workers as here, and what it breaks is a failed trial."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archwright.components import controller_class, space_class, typed
from archwright.errors import ChildFailure, ConfigError
from archwright.modalities import modality
from archwright.runs.planner import UserSettings, make_plan
from archwright.runs.timing import measure, step_seconds
from archwright.space import Architecture
from archwright.spaces import SPACES
from command import done
from small_images import noise_data

FILE = str(Path(__file__).with_name("hostile_components.py"))
SPACE = f"{FILE}:Hostile"
SHORT = ["--search-recipe.epochs", "1", "--final-recipe.epochs", "1", "--baseline", "false", "--data", "digits"]
SHORT += ["--limit", "128", "--device", "cpu", "--run", "run", "--json"]


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    before = dict(SPACES)
    typed(SPACE, f"{FILE}:Own")
    yield
    SPACES.clear()
    SPACES.update(before)


def test_a_file_runs_once_in_a_process() -> None:
    assert controller_class(f"{FILE}:Own").__module__ == space_class(SPACE).__module__
    again = str(Path(FILE).parent / ".." / "runs" / Path(FILE).name)
    typed(f"{again}:Hostile")
    assert space_class(f"{again}:Hostile") is space_class(SPACE)


@pytest.mark.parametrize(
    "limits", [["--workers", "2", "--memory-limit", "8", "--time-limit", "120"], ["--engine", "ray"]]
)
def test_a_users_file_works_wherever_children_are_trained(
    limits: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "ray" in limits:
        pytest.importorskip("ray", reason="Ray is not installed: pip install 'archwright[ray]'")
        request.getfixturevalue("cluster")
        import ray

        limits = ["--engine", f"ray:{ray.get_runtime_context().gcs_address}", "--workers", "1"]
    words = ["search", "--space", SPACE, "--controller", f"{FILE}:Own", "--trials", "2", *limits, *SHORT]
    code, out, err = done(*words, cwd=tmp_path)
    assert code == 0, err
    result = json.loads(out)
    assert (result["trials"], result["failed_trials"]) == (2, 0), err


def plan_of(*harmful: str, options: int = 4, **settings: Any) -> tuple[Any, Any]:
    data = noise_data()
    fields = {"harmful": harmful, "options": options}
    user = UserSettings(space=SPACE, space_fields=fields, final_space_fields=fields, settings=settings)
    plan = make_plan(data, user, data_name="python", data_options={}, device="cpu", timed=False)
    return plan, modality(data)


def architecture(what: str) -> Architecture:
    return Architecture("hostile", (), (("what", what),))


@pytest.mark.parametrize(
    ("what", "settings", "said"),
    [
        ("raise", {}, "ValueError: Expected more than 1 value"),
        ("exit", {}, "SystemExit: 3"),
        ("end", {"workers": 2}, "exit status 3"),
        ("hang", {"time_limit": 1.0}, "no result within 1 s"),
    ],
)
def test_a_network_that_ends_or_stops_its_process_costs_its_timing_alone(
    what: str, settings: dict[str, Any], said: str
) -> None:
    plan, loaded = plan_of(what, options=6, **settings)
    with pytest.raises(ChildFailure, match=said):
        step_seconds(plan, loaded, architecture(what), 1)


def test_what_cannot_be_timed_is_left_out_and_nothing_is_an_error() -> None:
    assert measure(*plan_of("raise", "exit")).child_step > 0
    with pytest.raises(ConfigError, match="none of 6 architectures could be trained; the last: "):
        measure(*plan_of("a", "b", "exit", "raise"))
