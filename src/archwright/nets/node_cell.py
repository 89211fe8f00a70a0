"""DARTS's recurrent cell: one matrix for each node, whatever it reads (Liu et al. 2019; rnn/model.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from archwright.nets.mixture import NONE
from archwright.nets.network import wired
from archwright.nets.recurrence import Chain, activate, highway
from archwright.nets.recurrent import CellState, ChainCell, Step, over_batch
from archwright.space import Architecture


class NodeCell(ChainCell):
    """A chain whose first node is tanh and whose h is the mean of all `nodes` after it, or a mixture of all such.

    The mask of h multiplies what the matrix of a node reads, too. `normalised`: every node is brought to mean 0 and
    variance 1. `mixed`: the activations that the edges of a mixture weigh, in order; then `wire` gives the weights
    [sources, options] of each node.
    """

    def __init__(
        self,
        nodes: int,
        mixed: Sequence[str] | None,
        fixed: Chain | None,
        wire: Callable[[Any], Any],
        inputs: int,
        units: int,
        *,
        normalised: bool,
    ) -> None:
        names = [str(node) for node in range(1, nodes + 1)]
        super().__init__(names, fixed, wire, inputs, units, normalised=normalised)
        self._mixed = mixed

    first = "0"

    def matrices(self, chain: Chain) -> list[str]:
        return list(self.weights)

    def stepper(self, architecture: Architecture | None, mask: Tensor | None) -> Step:
        wiring: Any = wired(self.fixed, self._wire, architecture)
        weights = [self.weights[name] for name in self.weights]

        def masked(x: Tensor) -> Tensor:
            return x if mask is None else x * mask

        def normed(x: Tensor) -> Tensor:
            return over_batch(x) if self.normalised else x

        def step(x: Tensor, read: Tensor, state: CellState) -> CellState:
            nodes = [normed(highway(state[0], torch.addmm(x, read, self.hidden), "tanh"))]
            for number, weight in enumerate(weights):
                if self._mixed is not None:
                    states = torch.stack(nodes)
                    node = mixed_highways(states, masked(states) @ weight, self._mixed, wiring[number])
                else:
                    before = nodes[wiring.sources[number] - 1]
                    node = highway(before, masked(before) @ weight, wiring.activations[number + 1])
                nodes.append(normed(node))
            return (torch.stack(nodes[1:]).mean(0),)

        return step


def mixed_highways(
    before: Float[Tensor, "sources batch units"],
    products: Float[Tensor, "sources batch twice_units"],
    activations: Sequence[str],
    weights: Float[Tensor, "sources options"],
) -> Float[Tensor, "batch units"]:
    """Return the sum over sources and activations of the weight times the `highway`; "none" gives zeros."""
    gate, value = products.to(before.dtype).chunk(2, -1)
    gate = torch.sigmoid(gate)
    shares = {name: weights[:, place, None, None] for place, name in enumerate(activations) if name != NONE}
    activated = sum((share * activate(name, value) for name, share in shares.items()), start=torch.zeros_like(value))
    passed = sum(shares.values(), start=torch.zeros_like(weights[:, 0, None, None])) * before
    return torch.lerp(passed, activated, gate).sum(0)
