"""Which known networks start: those that the user names, as a race or as children that are trained from scratch."""

from __future__ import annotations

from typing import Any

import pytest

from archwright.data.sources import load
from archwright.errors import ConfigError
from archwright.methods.protocol import Context
from archwright.runs.assembly import controller
from archwright.runs.plan import Plan
from archwright.runs.planner import UserSettings, make_plan
from archwright.space import check
from command import done

DATA = load("digits", limit=100)


def planned(**settings: Any) -> Plan:
    user = UserSettings(space="stages", controller="evolution", settings=settings)
    return make_plan(DATA, user, data_name="digits", data_options={}, device="cpu", threads=1, timed=False)


def names(plan: Plan) -> list[str]:
    return list(plan.search.method.known(plan.search))


def test_a_race_starts_with_all_and_children_from_scratch_with_none() -> None:
    usual = names(planned())
    assert len(usual) >= 4
    assert names(planned(evaluator="from-scratch", trials=9)) == []
    assert names(planned(evaluator="from-scratch", trials=9, starters="all")) == usual
    assert names(planned(starters="none")) == []
    two = f"{usual[2]}, {usual[0]}"
    assert (
        names(planned(starters=two)) == names(planned(starters=two, evaluator="from-scratch")) == [usual[2], usual[0]]
    )


def test_starters_are_proposed_first_survive_the_plan_and_are_in_its_words() -> None:
    plan = planned(evaluator="from-scratch", trials=9, starters="all")
    known = list(plan.search.method.known(plan.search).values())
    again = Plan.from_json(plan.to_json())
    assert [p.architecture for p in controller(again).ask(range(len(known)))] == known
    assert f"({', '.join(names(plan))} first)" in plan.search.method.line(plan.search, plan.cluster)


def test_in_a_space_that_lacks_their_widths_they_have_the_nearest_there_are() -> None:
    user = UserSettings(space="stages", space_fields={"widths": (8, 12)})
    plan = make_plan(DATA, user, data_name="digits", data_options={}, device="cpu", threads=1, timed=False)
    assert names(plan) == names(planned())
    for one in plan.search.method.known(plan.search).values():
        assert check(plan.search.space, one) == one


def test_starters_beyond_a_limit_do_not_start() -> None:
    from dataclasses import replace

    from archwright.modalities import modality

    plan = planned(evaluator="from-scratch", trials=9, starters="all")
    first, *others = plan.search.method.known(plan.search).values()
    context: Context = replace(plan.context(modality(DATA)), excess=lambda one: 2.0 if one == first else 0.5)
    assert len(plan.search.method.limited(context)["starters"]) == len(others)


def test_a_name_that_is_no_starter_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="stages has no 'resnet99'; did you mean resnet9"):
        planned(starters="resnet99")
    code, _, err = done("search", "--data", "digits", "--space", "stages", "--starters", "nobody", "--dry-run")
    assert code == 2
    assert "starters: stages has no 'nobody'; there are all, none, " in err
    assert err.count("\n") == 1
