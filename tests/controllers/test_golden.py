"""States stored by version 0.1 load, and proposals are those of version 0.1.

`golden.json` was written by the code of version 0.1: `python tests/controllers/test_golden.py`, with `src` on the path.
The later proposals of `guided-policy` are newer: its state is the trials alone, and the prior of its surrogate changed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from archwright.controllers.evolution import RegularizedEvolution
from archwright.controllers.guided import Guided
from archwright.controllers.local import LocalSearch
from archwright.controllers.ppo import Ppo
from archwright.controllers.reinforce import Reinforce
from archwright.loop import Proposal, Result, Trial
from archwright.spaces import EnasMicro
from archwright.states import pack, unpack
from archwright.testing.small_spaces import Chain, Growing, Ragged, Skips

FILE = Path(__file__).with_name("golden.json")
CONTROLLERS: dict[str, Callable[[], Any]] = {
    "reinforce": lambda: Reinforce(Ragged(), units=4, batch=4, learning_rate=0.01, seed=1),
    "reinforce-nas": lambda: Reinforce.nas(Skips(), units=4, batch=4, bias=True, clip=0.5, skip_weight=0.8, seed=2),
    "reinforce-growing": lambda: Reinforce(Growing(), units=4, batch=4, betas=(0.0, 0.999), init=1.0, seed=3),
    "reinforce-micro": lambda: Reinforce(EnasMicro(), units=4, batch=4, init=0.5, seed=4),
    "ppo": lambda: Ppo(Chain(), units=4, batch=4, learning_rate=0.01, gradient_clip=1.0, seed=5),
    "evolution": lambda: RegularizedEvolution(Ragged(), population=4, seed=6),
    "local": lambda: LocalSearch(Skips(), seed=7),
    "guided-policy": lambda: Guided(
        Ragged(), start=4, random=5, mutants=5, sampled=5, climb=0, near=0, updates=1, seed=8
    ),
}


def reward(proposal: Proposal) -> float:
    return int(proposal.architecture.id[:4], 16) / 0xFFFF


def learn(controller: Any, streams: Iterable[int]) -> None:
    for stream in streams:
        (proposal,) = controller.ask([stream])
        controller.tell([Trial(stream, proposal, Result(reward(proposal)), 0.0)])


def proposed(controller: Any, streams: Iterable[int]) -> list[Any]:
    return [[p.architecture.id, p.log_prob] for p in controller.ask(list(streams))]


def same(found: list[Any], expected: list[Any]) -> bool:
    """Whether architectures are equal, and log-probabilities up to the rounding of another machine."""
    return len(found) == len(expected) and all(
        a[0] == b[0] and (a[1] == b[1] or a[1] == pytest.approx(b[1], abs=1e-4))
        for a, b in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("name", CONTROLLERS)
def test_loads_what_version_0_1_stored_and_proposes_the_same(name: str) -> None:
    golden = json.loads(FILE.read_text(encoding="utf-8"))[name]
    controller = CONTROLLERS[name]()
    assert same(proposed(controller, range(8)), golden["fresh"])
    learn(controller, range(16))
    assert same(proposed(controller, range(16, 24)), golden["later"])
    restored = CONTROLLERS[name]()
    stored = unpack(base64.b64decode(golden["state"]))
    restored.load_state_dict(stored)
    assert pack(restored.state_dict()) == pack(stored)
    if stored:  # some controllers store nothing, and learn again from the trials
        assert same(proposed(restored, range(16, 24)), golden["later"])


def written() -> dict[str, Any]:
    found = {}
    for name, make in CONTROLLERS.items():
        controller = make()
        fresh = proposed(controller, range(8))
        learn(controller, range(16))
        state = base64.b64encode(pack(controller.state_dict())).decode()
        found[name] = {"fresh": fresh, "later": proposed(controller, range(16, 24)), "state": state}
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(written(), indent=1) + "\n", encoding="utf-8")
