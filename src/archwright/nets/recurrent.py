"""Recurrent cells: the tree of NAS (Zoph & Le 2017, section 3.4), and an LSTM to compare it with.

A cell takes a whole sequence: x [time, batch, inputs] and its state at the start, and gives its outputs
[time, batch, units] and the state at the end. A state is a tuple of tensors [batch, units], the first one h.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.nets.tree import Tree, TreeSequence
from archwright.space import Architecture

State = tuple[Tensor, ...]
Sequence3 = Float[Tensor, "time batch units"]


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
        architecture: Architecture | None = None,
    ) -> tuple[Sequence3, State]:
        """Run over the sequence. `mask` multiplies h wherever a matrix reads it: recurrent dropout (Gal 2015). A cell
        of shared weights runs as `architecture` says; others do not look at it."""


class TreeCell(RecurrentCell):
    """The cell of a tree. Matrices as in TensorFlow's NASCell: one for x, one for h, a block per leaf, no biases."""

    states = 2

    def __init__(self, tree: Tree, inputs: int, units: int) -> None:
        super().__init__()
        self.tree, self.units = tree, units
        self.input = nn.Parameter(torch.empty(inputs, tree.leaves * units))
        self.hidden = nn.Parameter(torch.empty(units, tree.leaves * units))

    def forward(
        self,
        x: Float[Tensor, "time batch inputs"],
        state: State,
        mask: Float[Tensor, "batch units"] | None = None,
        architecture: Architecture | None = None,
    ) -> tuple[Sequence3, State]:
        """The products with x are one for the whole sequence, those with h one a step."""
        time, batch, _ = x.shape
        products = (x @ self.input).view(time, batch, self.tree.leaves, self.units)
        with torch.autocast(x.device.type, enabled=False):  # the steps keep one precision, that of the weights
            given = products.to(self.hidden.dtype), self.hidden, *state, mask
            outputs, c = TreeSequence.apply(self.tree, *given)  # type: ignore[no-untyped-call]
        return outputs, (outputs[-1], c)


class LstmCell(RecurrentCell):
    """torch.nn.LSTM with the interface of the cells here.

    The library's loop cannot mask h, so with recurrent dropout the steps are taken here, and are slower.
    """

    states = 2

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.units = units
        self.lstm = nn.LSTM(inputs, units)

    def forward(
        self,
        x: Float[Tensor, "time batch inputs"],
        state: State,
        mask: Float[Tensor, "batch units"] | None = None,
        architecture: Architecture | None = None,
    ) -> tuple[Sequence3, State]:
        """See `RecurrentCell`."""
        if mask is None:
            outputs, (h, c) = self.lstm(x, (state[0][None], state[1][None]))
            return outputs, (h[0], c[0])
        lstm: Any = self.lstm
        h, c = state
        made = []
        for product in functional.linear(x, lstm.weight_ih_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0).unbind(0):
            i, f, g, o = (product + functional.linear(h * mask, lstm.weight_hh_l0)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            made.append(h)
        return torch.stack(made), (h, c)
