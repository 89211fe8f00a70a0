"""The parameter server: with one replica it is the controller itself, and with many no minibatch counts twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.controllers.parameter_server import Applied, Pulled, Push, Replica, Shard
from archwright.controllers.reinforce import Reinforce
from archwright.controllers.sharding import Piece, joined, lateness, layout_of, ranges, split
from archwright.errors import ConfigError
from archwright.evaluators.function import Function
from archwright.loop import Saved, Trial, Trials, run
from archwright.space import Architecture, Space
from archwright.states import pack, unpack
from archwright.testing.small_spaces import Chain, Ragged, Skips

CHILDREN, MINIBATCHES = 3, 4


class Local:
    """Shards in this process."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = shards

    def pull(self) -> list[Pulled]:
        return [shard.pull() for shard in self.shards]

    def push(self, pushes: Sequence[Push]) -> list[int | None]:
        return [shard.push(push) for shard, push in zip(self.shards, pushes, strict=True)]


def score(architecture: Architecture) -> float:
    return len(architecture.id.translate(str.maketrans("", "", "01234567"))) / 10


def controller(space: Space, **changes: object) -> Reinforce:
    return Reinforce.nas(space, **{"batch": CHILDREN, "learning_rate": 0.01, "units": 17, "clip": 0.5, **changes})


def served(model: Reinforce, shards: int, accumulate: int = 1) -> tuple[list[list[Piece]], Local]:
    layout = layout_of(model, shards)
    servers = [Shard(pieces, model.adam_settings, accumulate=accumulate) for pieces in layout]
    for shard, state in zip(servers, split(model.state_dict(), layout), strict=True):
        shard.restore(state)
    return layout, Local(servers)


class Begun:
    """A store whose first stream is another."""

    def __init__(self, streams: int) -> None:
        self.streams = streams

    def load(self) -> Saved:
        return Saved([], [], self.streams)

    def proposed(self, *_: object) -> None: ...

    def told(self, *_: object) -> None: ...


def minibatch(replica: Replica, number: int) -> list[Trial]:
    replica.begin(number)
    store = Begun(number * CHILDREN)
    return list(run(replica, Function(score), budget=Trials(CHILDREN), store=store))  # type: ignore[arg-type, misc]


def same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return pack({"state": a}) == pack({"state": b})


@pytest.mark.parametrize("space", [Skips(), Chain(), Ragged()], ids=lambda space: space.name)
@pytest.mark.parametrize("shards", [1, 2, 40])  # 40: more than there are tensors
def test_one_replica_is_the_controller_to_the_bit(space: Space, shards: int) -> None:
    alone = controller(space)
    trials = list(run(alone, Function(score), budget=Trials(CHILDREN * MINIBATCHES)))
    start = controller(space)
    layout, servers = served(start, shards)
    assert (shards > len(list(start.policy.parameters()))) == (shards == 40)
    replica = Replica(controller(space), layout, servers)
    theirs = [trial for number in range(MINIBATCHES) for trial in minibatch(replica, number)]
    assert [t.proposal for t in theirs] == [t.proposal for t in trials]  # type: ignore[union-attr]
    state = joined([shard.state_dict() for shard in servers.shards], layout, start)
    ours = alone.state_dict()
    assert all(same(state[part], ours[part]) for part in ("policy", "adam", "baseline", "updates"))
    assert replica.metrics() == {**alone.metrics(), "staleness": 0.0}
    assert lateness(state) == (MINIBATCHES, 0.0, 0)
    assert lateness(ours) is None


def test_the_joined_state_is_one_of_a_controller_and_splits_into_what_it_was_joined_from() -> None:
    model = controller(Skips())
    layout, servers = served(model, 5, accumulate=2)
    replica = Replica(controller(Skips()), layout, servers)
    for number in range(3):  # an update, and half of the next
        minibatch(replica, number)
    states = [shard.state_dict() for shard in servers.shards]
    whole = unpack(pack(joined(states, layout, model)))
    assert all(same(ours, theirs) for ours, theirs in zip(split(whole, layout), states, strict=True))
    other = controller(Skips())
    other.load_state_dict(whole)
    assert other.updates == 1
    with pytest.raises(ConfigError, match="5 shards, not of 4"):
        split(whole, layout_of(model, 4))


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6), st.integers(1, 25))
def test_ranges_are_the_whole_vector_once_and_about_equal(lengths: list[int], shards: int) -> None:
    sizes = {f"p{index}": length for index, length in enumerate(lengths)}
    found = ranges(sizes, shards)
    assert len(found) == shards
    flat = [
        (piece.name, position) for pieces in found for piece in pieces for position in range(piece.start, piece.stop)
    ]
    assert flat == [(name, position) for name, size in sizes.items() for position in range(size)]
    assert all(abs(sum(p.stop - p.start for p in pieces) - sum(lengths) / shards) <= 32 for pieces in found)


def test_accumulated_gradients_make_one_step_with_their_mean() -> None:
    pieces, adam = [Piece("p", 0, 20)], {"lr": 0.1}
    gradients = np.random.default_rng(0).normal(size=(2, 20)).astype(np.float32)
    shard = Shard(pieces, adam, accumulate=2)
    assert shard.push(Push(0, 0, gradients[0], frozenset(), (1.0,))) == 0
    assert (shard.pull().version, shard.pull().values.any()) == (0, False)
    assert shard.push(Push(1, 0, gradients[1], frozenset(), (0.0,))) == 0
    mean = torch.zeros(20, requires_grad=True)
    mean.grad = torch.from_numpy(gradients[0] + gradients[1]) / 2
    torch.optim.Adam([mean], lr=0.1, fused=True).step()
    assert shard.pull().version == 1
    assert np.array_equal(shard.pull().values, mean.detach().numpy())
    assert shard.push(Push(2, 0, gradients[0], frozenset(), (0.0,))) == 1  # one update came before it
    assert shard.state_dict()["staleness"].tolist() == [0, 0, 1]
    assert shard.state_dict()["pushes"].tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=30), st.integers(1, 3))
@settings(max_examples=30)
def test_a_shard_takes_each_number_once_however_often_it_dies(steps: list[tuple[int, bool]], accumulate: int) -> None:
    """Pushes in any order, again and again; at some of them the shard dies and comes back as it was last saved."""

    def new() -> Shard:
        return Shard([Piece("p", 0, 4)], {"lr": 0.1}, accumulate=accumulate)

    shard, counted = new(), 0
    saved, saved_count = shard.state_dict(), 0
    for number, dies in steps:
        if shard.push(Push(number, 0, np.ones(4, np.float32), frozenset(), (1.0,))) is not None:
            counted += 1
        if dies:
            shard = new()
            shard.restore(unpack(pack(saved)))
            counted = saved_count
        elif number % 3 == 0:
            saved, saved_count = shard.state_dict(), counted
    state = shard.state_dict()
    applied = Applied(**state["applied"])
    assert applied.below + len(applied.beyond) == counted == len(state["pushes"])
    assert (state["version"], state["held"]) == divmod(counted, accumulate)


def test_what_is_lost_with_a_shard_is_learned_again_from_the_record() -> None:
    """One shard of one: the minibatches since its last save, told again in their order, bring it back to the bit."""
    start = controller(Skips())
    layout, servers = served(start, 1)
    replica = Replica(controller(Skips()), layout, servers)
    records = [minibatch(replica, 0)]
    saved = unpack(pack({"state": servers.shards[0].state_dict()}))["state"]
    records += [minibatch(replica, number) for number in (1, 2)]
    before = servers.shards[0].state_dict()
    late = Push(9, 3, np.zeros(sum(p.stop - p.start for p in layout[0]), np.float32), frozenset(), ())
    servers.shards = [Shard(layout[0], start.adam_settings)]
    servers.shards[0].restore(saved)
    assert servers.shards[0].push(late) == 2  # its parameters are those of three updates, two of which are lost
    servers.shards = [Shard(layout[0], start.adam_settings)]
    servers.shards[0].restore(saved)
    for number, trials in enumerate(records):  # the first is known
        replica.begin(number)
        replica.tell(trials[::-1])
    assert same(servers.shards[0].state_dict(), before)
