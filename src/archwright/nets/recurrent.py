"""Recurrent cells: the tree of NAS (Zoph & Le 2017, section 3.4), and an LSTM to compare it with.

A cell takes a whole sequence: x [time, batch, inputs] and its state at the start, and gives its outputs
[time, batch, units] and the state at the end. A state is a tuple of tensors [batch, units], the first one h.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

State = tuple[Tensor, ...]
Sequence3 = Float[Tensor, "time batch units"]

COMBINATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"add": torch.add, "elem_mult": torch.mul}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
}


class RecurrentCell(nn.Module):
    """`units` wide, with `states` tensors in its state."""

    units: int
    states: int

    def start(self, batch: int, like: Tensor) -> State:
        """Zeros."""
        return tuple(like.new_zeros(batch, self.units) for _ in range(self.states))

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "time batch inputs"],
        state: State,
        mask: Float[Tensor, "batch units"] | None = None,
    ) -> tuple[Sequence3, State]:
        """Run over the sequence. `mask` multiplies h wherever a matrix reads it: recurrent dropout (Gal 2015)."""


@dataclass(frozen=True)
class Node:
    """A node of the tree: what joins its two values, and what the sum or product goes through."""

    combine: str
    activation: str

    def __call__(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """The value before the activation, and after it."""
        joined = COMBINATIONS[self.combine](a, b)
        return joined, ACTIVATIONS[self.activation](joined)


@dataclass(frozen=True)
class Tree:
    """`nodes`: leaves first, then the inner ones up to the root; `inject` joins c(t-1) to the output of node `second`;
    c(t) is what node `first` has before its activation."""

    nodes: tuple[Node, ...]
    inject: Node
    first: int
    second: int

    @property
    def leaves(self) -> int:
        """The base: how many nodes read x and h."""
        return (len(self.nodes) + 1) // 2

    def step(self, x: Sequence[Tensor], h: Sequence[Tensor], c: Tensor) -> State:
        """(h, c) from what each leaf has of x and of h, and c of the step before (Figure 5 of the paper)."""
        outputs: list[Tensor] = []
        new_c = c
        leaves = self.leaves
        for index, node in enumerate(self.nodes):
            if index < leaves:
                joined, output = node(x[index], h[index])
            else:
                child = 2 * (index - leaves)
                joined, output = node(outputs[child], outputs[child + 1])
            if index == self.second:
                output = self.inject(output, c)[1]
            if index == self.first:
                new_c = joined
            outputs.append(output)
        return outputs[-1], new_c


class TreeCell(RecurrentCell):
    """The cell of a tree. Matrices as in TensorFlow's NASCell: one for x, one for h, a block per leaf, no biases."""

    states = 2

    def __init__(self, tree: Tree, inputs: int, units: int) -> None:
        super().__init__()
        self.tree, self.units = tree, units
        self.input = nn.Parameter(torch.empty(inputs, tree.leaves * units))
        self.hidden = nn.Parameter(torch.empty(units, tree.leaves * units))

    def forward(
        self, x: Float[Tensor, "time batch inputs"], state: State, mask: Float[Tensor, "batch units"] | None = None
    ) -> tuple[Sequence3, State]:
        """The products with x are one for the whole sequence, those with h one a step."""
        products = (x @ self.input).unbind(0)
        leaves = self.tree.leaves
        h, c = state
        outputs = []
        for product in products:
            back = (h if mask is None else h * mask) @ self.hidden
            h, c = self.tree.step(product.chunk(leaves, 1), back.chunk(leaves, 1), c)
            outputs.append(h)
        return torch.stack(outputs), (h, c)


class LstmCell(RecurrentCell):
    """torch.nn.LSTM with the interface of the cells here. `mask` is not applied: the library's loop is closed."""

    states = 2

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.lstm = nn.LSTM(inputs, units)

    def forward(
        self, x: Float[Tensor, "time batch inputs"], state: State, mask: Float[Tensor, "batch units"] | None = None
    ) -> tuple[Sequence3, State]:
        """Run the library's."""
        outputs, (h, c) = self.lstm(x, (state[0][None], state[1][None]))
        return outputs, (h[0], c[0])
