"""The parameters of a controller cut into ranges, one for each shard, and its state as its shards' states and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from archwright.controllers.reinforce import Reinforce
from archwright.errors import ConfigError
from archwright.loop import State

# Fused Adam treats the last few numbers of a tensor apart, with other rounding: a tensor is cut where its vectors end.
ALIGNED = 16
SHARDS = "shards"  # in a controller's state: what belongs to a shard alone
OWN = ("version", "applied", "sum", "held", "pushes", "staleness")  # entries of a shard's state that are stored as is


@dataclass(frozen=True)
class Piece:
    """The numbers from `start` to `stop` of the parameter called `name`, flattened."""

    name: str
    start: int
    stop: int


def ranges(sizes: Mapping[str, int], shards: int) -> list[list[Piece]]:
    """Cut the flat vector of parameters of these sizes into `shards` ranges of about equal length, perhaps 0."""
    if shards < 1:
        raise ConfigError(f"shards is {shards}; it must be at least 1")
    total = sum(sizes.values())
    cuts = [round(total * shard / shards) for shard in range(1, shards)]
    found: list[list[Piece]] = [[] for _ in range(shards)]
    offset = 0
    for name, size in sizes.items():
        inside = [min(size, max(0, cut - offset) // ALIGNED * ALIGNED) for cut in cuts]
        for shard, (start, stop) in enumerate(zip([0, *inside], [*inside, size], strict=True)):
            if start < stop:
                found[shard].append(Piece(name, start, stop))
        offset += size
    return found


def layout_of(controller: Reinforce, shards: int) -> list[list[Piece]]:
    """Return the ranges of a controller's parameters."""
    return ranges({name: p.numel() for name, p in controller.policy.named_parameters()}, shards)


def split(state: State, layout: Sequence[Sequence[Piece]]) -> list[State]:
    """Return the shards' states, from a state of `joined` or of a controller without shards."""
    own: list[Any] = state.get(SHARDS) or [_new(state, pieces) for pieces in layout]
    if len(own) != len(layout):
        raise ConfigError(f"the controller's state is of {len(own)} shards, not of {len(layout)}")
    states = []
    for rest, pieces in zip(own, layout, strict=True):
        moments = [{k: _cut(v, piece) for k, v in state["adam"][piece.name].items()} for piece in pieces]
        for moment, step in zip(moments, rest["steps"], strict=True):
            if step is not None and "step" in moment:
                moment["step"].fill_(step)
        values = [_cut(state["policy"][piece.name], piece) for piece in pieces]
        theirs = {name: rest[name] for name in OWN}
        states.append({**theirs, "baseline": state["baseline"], "values": values, "adam": moments})
    return states


def joined(states: Sequence[State], layout: Sequence[Sequence[Piece]], controller: Reinforce) -> State:
    """Return the shards' states as one state of the controller, plus the entries that belong to a shard alone.

    The shards' states may be of different moments. Baseline and number of updates are the first shard's.
    """
    state = controller.state_dict()
    for pieces, held in zip(layout, states, strict=True):
        for piece, values, moment in zip(pieces, held["values"], held["adam"], strict=True):
            state["policy"][piece.name].view(-1)[piece.start : piece.stop] = values
            theirs = state["adam"][piece.name]
            for name, value in moment.items():
                if value.dim() == 0:
                    theirs[name] = value.clone()
                else:
                    whole = theirs.setdefault(name, torch.zeros_like(state["policy"][piece.name]))
                    whole.view(-1)[piece.start : piece.stop] = value
    state["baseline"], state["updates"] = states[0]["baseline"], states[0]["version"]
    state[SHARDS] = [
        {name: held[name] for name in OWN}
        | {"steps": [float(moment["step"]) if moment else None for moment in held["adam"]]}
        for held in states
    ]
    return state


def lateness(state: State) -> tuple[int, float, int] | None:
    """Return the number of updates and the mean and largest staleness of gradients in a state of `joined`, if any.

    Each gradient counts as in the shard where it was latest.
    """
    late: dict[int, int] = {}
    for held in state.get(SHARDS) or ():
        for number, staleness in zip(held["pushes"].tolist(), held["staleness"].tolist(), strict=True):
            late[number] = max(staleness, late.get(number, 0))
    return (int(state["updates"]), sum(late.values()) / len(late), max(late.values())) if late else None


def _new(state: State, pieces: Sequence[Piece]) -> State:
    applied, nothing = {"below": 0, "beyond": []}, [None] * len(pieces)
    late = {"pushes": torch.zeros(0, dtype=torch.int64), "staleness": torch.zeros(0, dtype=torch.int64)}
    return {"version": int(state["updates"]), "applied": applied, "held": 0, "sum": nothing, "steps": nothing, **late}


def _cut(tensor: torch.Tensor, piece: Piece) -> torch.Tensor:
    return tensor.clone() if tensor.dim() == 0 else tensor.reshape(-1)[piece.start : piece.stop].clone()
