"""A controller's state as its shards' states, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from archwright.controllers.parameter_server import Piece, ranges
from archwright.controllers.reinforce import Reinforce
from archwright.errors import ConfigError
from archwright.loop import State

SHARDS = "shards"  # in a controller's state: what belongs to a shard alone


def layout_of(controller: Reinforce, shards: int) -> list[list[Piece]]:
    """The ranges of the controller's parameters."""
    return ranges({name: p.numel() for name, p in controller.policy.named_parameters()}, shards)


def split(state: State, layout: Sequence[Sequence[Piece]]) -> list[State]:
    """The states of the shards, from what `joined` gave, or from the state of a controller without shards."""
    own: list[Any] = state.get(SHARDS) or [_new(state) for _ in layout]
    if len(own) != len(layout):
        raise ConfigError(f"the controller's state is of {len(own)} shards, not of {len(layout)}")
    return [
        {
            **{name: value for name, value in rest.items() if name != "steps"},
            "baseline": state["baseline"],
            "values": [_cut(state["policy"][piece.name], piece) for piece in pieces],
            "adam": [
                _moments(state["adam"][piece.name], piece, None if steps is None else steps[index])
                for index, piece in enumerate(pieces)
            ],
            "sum": _sums(rest, pieces),
        }
        for rest, pieces in zip(own, layout, strict=True)
        for steps in (rest.get("steps"),)
    ]


def joined(states: Sequence[State], layout: Sequence[Sequence[Piece]], controller: Reinforce) -> State:
    """The controller's state, as its own `state_dict` gives it, and what belongs to the shards alone.

    What the shards hold may be of different moments. Baseline and number of updates are the first shard's.
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
        {
            "version": held["version"],
            "applied": held["applied"],
            "sum": held["sum"],
            "held": held["held"],
            "pushes": held["pushes"],
            "staleness": held["staleness"],
            "steps": [float(moment["step"]) if moment else None for moment in held["adam"]],
        }
        for held in states
    ]
    return state


def lateness(state: State) -> tuple[int, float, int] | None:
    """From what `joined` gave: the number of updates, and how late gradients came to them, on average and at most; each
    is as late as in the shard where it was latest. None if there was none."""
    if not state.get(SHARDS):
        return None
    late: dict[int, int] = {}
    for held in state[SHARDS]:
        for number, staleness in zip(held["pushes"].tolist(), held["staleness"].tolist(), strict=True):
            late[number] = max(staleness, late.get(number, 0))
    return (int(state["updates"]), sum(late.values()) / len(late), max(late.values())) if late else None


def _new(state: State) -> State:
    none = torch.zeros(0, dtype=torch.int64)
    empty = {"below": 0, "beyond": []}
    return {"version": int(state["updates"]), "applied": empty, "held": 0, "pushes": none, "staleness": none}


def _cut(tensor: torch.Tensor, piece: Piece) -> torch.Tensor:
    return tensor.reshape(-1)[piece.start : piece.stop].clone()


def _moments(whole: Mapping[str, torch.Tensor], piece: Piece, step: float | None) -> dict[str, torch.Tensor]:
    moments = {name: value.clone() if value.dim() == 0 else _cut(value, piece) for name, value in whole.items()}
    if step is not None and "step" in moments:
        moments["step"].fill_(step)
    return moments


def _sums(rest: Mapping[str, Any], pieces: Sequence[Piece]) -> list[torch.Tensor | None]:
    sums = rest.get("sum")
    return [None] * len(pieces) if sums is None else list(sums)
