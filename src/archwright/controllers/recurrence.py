"""The LSTM, one step at a time.

    o, i, f, g = split(x W_x + h W_h + b);  c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c)

The bottom layer's x comes from a table of all there is to feed: options, the start input, zeros, and the anchors so
far. The table is kept multiplied by W_x, so a step costs one product (h W_h) and an anchor one more. Everything is
written into records made beforehand: at these sizes, making tensors and views of them takes as long as arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from archwright.controllers.lockstep import Feed, Step


class Weights:
    """The parameters, taken apart: `lstm` [layers, 2 * units, 4 * units] on input and hidden state; `bias` or None."""

    def __init__(
        self, lstm: Float[Tensor, "layers two_units gates"], bias: Float[Tensor, "layers gates"] | None
    ) -> None:
        self.units = lstm.shape[2] // 4
        self.inputs = list(lstm[:, : self.units])
        self.hidden = list(lstm[:, self.units :])
        self.bias = list(bias) if bias is not None else None


class Moment:
    """One layer at one step: gates [batch, 4 * units] (with views of their parts), and [batch, units] cells, tanh of
    the cells, hidden states."""

    __slots__ = ("cell", "f", "g", "gates", "hidden", "i", "o", "oif", "squashed")

    def __init__(self, *views: Tensor) -> None:
        self.gates, self.cell, self.squashed, self.hidden, self.o, self.i, self.f, self.g, self.oif = views

    def update(self, before: Moment | None) -> None:
        """From the sums in `gates` to the new states. `before`: the step before, which may be this very record."""
        self.oif.sigmoid_()
        self.g.tanh_()
        if before is None:
            torch.mul(self.i, self.g, out=self.cell)
        else:
            torch.mul(self.f, before.cell, out=self.cell)
            self.cell.addcmul_(self.i, self.g)
        torch.tanh(self.cell, out=self.squashed)
        torch.mul(self.o, self.squashed, out=self.hidden)


class Layer:
    """Records of one layer at `steps` steps, as tensors [steps, batch, ...] and as moments that share their memory."""

    def __init__(self, like: Tensor, steps: int, batch: int, units: int) -> None:
        self.gates = like.new_empty(steps, batch, 4 * units)
        self.cells, self.squashed, self.hidden = (like.new_empty(steps, batch, units) for _ in range(3))
        self.parts = self.gates.chunk(4, dim=2)
        views = (self.gates, self.cells, self.squashed, self.hidden, *self.parts, self.gates[:, :, : 3 * units])
        self.moments = [Moment(*moment) for moment in zip(*(view.unbind(0) for view in views), strict=True)]


def advance(weights: Weights, now: Sequence[Moment], before: Sequence[Moment] | None) -> Float[Tensor, "batch units"]:
    """One step of all layers, when the bottom one's gates hold its input. Returns the top hidden state."""
    for layer, moment in enumerate(now):
        if layer:
            torch.mm(now[layer - 1].hidden, weights.inputs[layer], out=moment.gates)
        if weights.bias is not None:
            moment.gates.add_(weights.bias[layer])
        if before is not None:
            moment.gates.addmm_(before[layer].hidden, weights.hidden[layer])
        moment.update(before[layer] if before is not None else None)
    return now[-1].hidden


def take_in(gates: Float[Tensor, "batch gates"], table: Float[Tensor, "rows gates"], step: Step) -> None:
    """Write what a step is fed into the bottom layer's gates."""
    torch.index_select(table, 0, torch.from_numpy(step.rows), out=gates)
    if step.feed is not None:
        lanes, rows, shares = _tensors(step.feed, gates)
        gates.index_add_(0, lanes, table.index_select(0, rows) * shares)


def give_back(of_gates: Float[Tensor, "batch gates"], of_table: Float[Tensor, "rows gates"], step: Step) -> None:
    """The reverse of `take_in`: add the gradient of what was fed to that of the table."""
    of_table.index_add_(0, torch.from_numpy(step.rows), of_gates)
    if step.feed is not None:
        lanes, rows, shares = _tensors(step.feed, of_gates)
        of_table.index_add_(0, rows, of_gates.index_select(0, lanes) * shares)


def _tensors(feed: Feed, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    shares = torch.from_numpy(feed.shares).to(like.dtype).unsqueeze(1)
    return torch.from_numpy(feed.lanes), torch.from_numpy(feed.rows), shares
