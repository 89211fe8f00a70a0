"""How the nodes of a cell and the layers of a network are wired: values that spaces, drawings and networks share.

A cell's states are numbered as in ENAS: 0 is the older input, 1 the newer one, 2 and up the nodes (NASNet's code counts
the other way round).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

SIDES = ("left", "right")
Wiring: TypeAlias = "tuple[tuple[tuple[int, str], ...], ...]"  # for each node, its operands: (source state, operation)


@dataclass(frozen=True)
class SoftSides:
    """The weights of a mixed cell of ENAS: for each node and side, those of the states it reads and of its operations.

    Each is a tensor of as many numbers as there are states before the node, or operations.
    """

    nodes: tuple[tuple[tuple[Any, Any], ...], ...]

    def looseness(self) -> list[Any]:
        """Return for each state the chance that no side reads it, if each side draws one state by its weights."""
        chances: list[Any] = [1.0] * (len(self.nodes) + 2)
        for node in self.nodes:
            for links, _ in node:
                for state in range(len(links)):
                    chances[state] = chances[state] * (1 - links[state])
        return chances


@dataclass(frozen=True)
class Operands:
    """What one side of a node may be: these operations, on these states."""

    sources: tuple[int, ...]
    operations: tuple[str, ...]


def loose_ends(wiring: Wiring, kept: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the states that no node reads, inputs included (ENAS C4), and those that are `kept` all the same."""
    used = {source for node in wiring for source, _ in node} - set(kept)
    return tuple(state for state in range(len(wiring) + 2) if state not in used)


@dataclass(frozen=True)
class LayerSpec:
    """A "conv", "pool" or "norm" layer, by `kind`. `inputs` number the layers it reads; none: it reads the image."""

    kind: str
    height: int
    width: int
    stride: tuple[int, int]
    filters: int
    normalised: bool
    inputs: tuple[int, ...]


def loose_layers(layers: Sequence[LayerSpec]) -> tuple[int, ...]:
    """Return the layers that no other layer reads; the last one is always among them."""
    read = {source for layer in layers for source in layer.inputs}
    return tuple(number for number in range(len(layers)) if number not in read)


@dataclass(frozen=True)
class StageSpec:
    """A stage of `blocks` equal blocks; see `archwright.spaces.stages.Stages` for what each field may be."""

    width: int
    kind: str
    blocks: int
    halving: str
    kernel: int
    excite: bool
    activation: str
