"""What policies learn with in budgets far below the papers': settings as functions of trials and decisions.

The papers' learning rates are for tens of thousands of rewards: after a hundred the policy is still uniform. These
were chosen on NAS-Bench-201's 12-epoch accuracies of CIFAR-10 and on `signals`, by `benchmarks/policy_trials.py`;
docs/lab.md has what each of them brings, and how they do on tables that were not used for the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

PAPERS = 20_000  # trials of NASNet; NAS has 12,800, ENAS 45,000


def reinforce(trials: int, decisions: int) -> Mapping[str, Any]:
    """Return arguments of `Reinforce`: one step of Adam after every reward, nine proposals of ten near the best.

    A step moves all decisions at once, so the more there are the smaller it is.
    """
    return {
        "learning_rate": 0.01 * min(1.0, 10 / max(decisions, 1)),
        "batch": 1,
        "units": 16,
        "temperature": None,
        "tanh_constant": None,
        "entropy_weight": 0.0,
        "ranks": True,
        "around": 0.9,
        "fresh": True,
    }


def ppo(trials: int, decisions: int) -> Mapping[str, Any]:
    """Return arguments of `Ppo`: the same, with its several steps for every fifth reward."""
    return {**reinforce(trials, decisions), "batch": 5}


BUDGETED: Mapping[str, Callable[[int, int], Mapping[str, Any]]] = {"reinforce": reinforce, "ppo": ppo}


def for_budget(controller: str, trials: int | None, decisions: int) -> Mapping[str, Any]:
    """Return the settings of a controller in a search of so many trials; none where the papers' suit it better."""
    if controller not in BUDGETED or trials is None or trials >= PAPERS:
        return {}
    return BUDGETED[controller](trials, decisions)
