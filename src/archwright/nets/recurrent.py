"""Recurrent cells: those of NAS and ENAS (DARTS's: `nets.node_cell`), and an LSTM to compare them with.

A cell reads a whole sequence x [time, batch, inputs] from its state at the start, and returns its outputs
[time, batch, units] and the state at the end. A state is a tuple of tensors [batch, units], the first one h.

Autograd differentiates the steps: derivatives written out by hand made a whole training step only 1.07 to 1.16 times
faster (CPU, one thread; small and published sizes, children and supernets).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from archwright.errors import SpaceError
from archwright.nets.network import wired
from archwright.nets.recurrence import Chain, Tree
from archwright.space import Architecture

EPSILON = 1e-5  # of the normalisation, as BatchNorm's
CellState = tuple[Tensor, ...]
# From the step's product of x and the input matrix, h as the hidden matrix reads it, and the state: the new state.
Step = Callable[[Tensor, Tensor, CellState], CellState]


def over_batch(h: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
    """Bring h to mean 0 and variance 1 over the batch."""
    variance, mean = torch.var_mean(h, 0, correction=0)
    return (h - mean) * torch.rsqrt(variance + EPSILON)


class RecurrentCell(nn.Module):
    """A cell `units` wide, with `states` tensors in its state."""

    units: int
    states: int

    def drawn(self) -> Iterator[tuple[str, int]]:
        """Yield the nodes of the cell's graph that have weights, and how many: each is multiplied once a token."""
        return iter(())

    def start(self, batch: int, like: Tensor) -> CellState:
        """Return a state of zeros."""
        return tuple(like.new_zeros(batch, self.units) for _ in range(self.states))

    @abstractmethod
    def forward(
        self,
        x: Float[Tensor, "time batch inputs"],
        state: CellState,
        mask: Float[Tensor, "batch units"] | None = None,
        architecture: Architecture | None = None,
    ) -> tuple[Float[Tensor, "time batch units"], CellState]:
        """Run over the sequence. `mask` multiplies h wherever a matrix reads it: recurrent dropout (Gal 2015).

        A cell of shared weights runs the `architecture`; other cells ignore it.
        """


class SteppedCell(RecurrentCell):
    """A cell with one matrix for x and one for h, `blocks` * units wide; a subclass writes its step."""

    def __init__(self, inputs: int, units: int, blocks: int) -> None:
        super().__init__()
        self.units = units
        self.input = nn.Parameter(torch.empty(inputs, blocks * units))
        self.hidden = nn.Parameter(torch.empty(units, blocks * units))

    @abstractmethod
    def stepper(self, architecture: Architecture | None, mask: Tensor | None) -> Step:
        """Return the step of a sequence. What it is given of h is masked; `mask` is for other inputs of matrices."""

    def forward(
        self, x: Tensor, state: CellState, mask: Tensor | None = None, architecture: Architecture | None = None
    ) -> tuple[Tensor, CellState]:
        step, outputs = self.stepper(architecture, mask), []
        products = x @ self.input  # of the whole sequence at once
        for product in products.to(state[0].dtype).unbind(0):  # states keep their precision; products may be coarser
            state = step(product, state[0] if mask is None else state[0] * mask, state)
            outputs.append(state[0])
        return torch.stack(outputs), state


class TreeCell(SteppedCell):
    """The cell of a tree. Matrices as in TensorFlow's NASCell: a block per leaf, no biases.

    `hidden_dropout` is a share of the matrix that reads h, dropped for a sequence.
    """

    states = 2

    def __init__(self, tree: Tree, inputs: int, units: int, hidden_dropout: float = 0.0) -> None:
        super().__init__(inputs, units, tree.leaves)
        self.tree, self.hidden_dropout = tree, hidden_dropout

    def stepper(self, architecture: Architecture | None, mask: Tensor | None) -> Step:
        tree, leaves = self.tree, self.tree.leaves
        hidden: Tensor = self.hidden
        if self.training and self.hidden_dropout > 0:
            hidden = functional.dropout(hidden, self.hidden_dropout)
        if torch.is_autocast_enabled(hidden.device.type):  # once for all steps: it remembers parameters alone
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        return lambda x, h, state: tree.step(x.chunk(leaves, 1), (h @ hidden).chunk(leaves, 1), state[1])

    def drawn(self) -> Iterator[tuple[str, int]]:
        leaves = self.tree.leaves
        each = (self.input.numel() + self.hidden.numel()) // leaves
        yield from ((f"{leaf}/sum", each) for leaf in range(leaves))


class ChainCell(SteppedCell):
    """The cell of a chain, or of all chains of as many nodes: then its matrices are shared.

    `names` are those of the matrices of the nodes after the first. `fixed` is a child's chain, `wire` reads an
    architecture's. `normalised` cells use the statistics of the batch at every step, in evaluation too: it steadies
    shared weights, and a delivered model goes without.
    """

    states = 1
    first = "1"  # what the graph calls the node that reads x and h

    def __init__(
        self,
        names: Sequence[str],
        fixed: Chain | None,
        wire: Callable[[Any], Any],
        inputs: int,
        units: int,
        *,
        normalised: bool,
    ) -> None:
        super().__init__(inputs, units, 2)
        self.fixed, self.normalised, self._wire = fixed, normalised, wire
        self.weights = nn.ParameterDict({name: nn.Parameter(torch.empty(units, 2 * units)) for name in names})

    def drawn(self) -> Iterator[tuple[str, int]]:
        yield self.first, self.input.numel() + self.hidden.numel()
        yield from ((name.partition("_")[0], weight.numel()) for name, weight in self.weights.items())

    @abstractmethod
    def matrices(self, chain: Chain) -> list[str]:
        """Return the names of the matrices that a chain reads, from its second node on."""


class HighwayCell(ChainCell):
    """ENAS's: one matrix for each ordered pair of nodes that is open (section 2.1), `pairs` of (node, source).

    `normalised`: h is brought to mean 0 and variance 1. `activations`: those of each node, which then have a matrix
    each for every pair; None: all share one.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        fixed: Chain | None,
        wire: Callable[[Architecture], Chain],
        inputs: int,
        units: int,
        *,
        normalised: bool,
        activations: Mapping[int, Sequence[str]] | None = None,
    ) -> None:
        names = [f"{node}_{source}" for node, source in pairs]
        if activations is not None:
            names = [f"{node}_{source}_{name}" for node, source in pairs for name in activations[node]]
        super().__init__(names, fixed, wire, inputs, units, normalised=normalised)
        self._apart = activations is not None

    def matrices(self, chain: Chain) -> list[str]:
        read = zip(chain.sources, chain.activations[1:], strict=True)
        ends = [f"{source}_{activation}" if self._apart else f"{source}" for source, activation in read]
        return [f"{node}_{end}" for node, end in enumerate(ends, start=2)]

    def stepper(self, architecture: Architecture | None, mask: Tensor | None) -> Step:
        chain = wired(self.fixed, self._wire, architecture)
        weights = [self.weights[name] for name in self.matrices(chain)]

        def step(x: Tensor, read: Tensor, state: CellState) -> CellState:
            h = chain.step(torch.addmm(x, read, self.hidden), state[0], weights)
            return (over_batch(h) if self.normalised else h,)

        return step


class LibraryCell(RecurrentCell):
    """PyTorch's own layer with the interface of the cells here: its loop over time is compiled.

    `library` is "lstm" or "gru", and the name of the layer in this module. That loop cannot mask h, so with recurrent
    dropout an LSTM's steps are taken here, and are slower. `hidden_dropout` is fast: a share of the matrix that reads
    h, another one for every sequence, is dropped (DropConnect: Merity et al. 2018).
    """

    library: str

    def __init__(self, inputs: int, units: int, hidden_dropout: float = 0.0) -> None:
        super().__init__()
        self.units, self.hidden_dropout = units, hidden_dropout
        self.add_module(self.library, {"lstm": nn.LSTM, "gru": nn.GRU}[self.library](inputs, units))

    @property
    def layer(self) -> Any:
        """PyTorch's layer."""
        return self.get_submodule(self.library)

    def run(self, x: Tensor, state: Any) -> Any:
        """Return what PyTorch's layer does."""
        layer = self.layer
        if not self.training or self.hidden_dropout == 0:
            return layer(x, state)
        dropped = functional.dropout(layer.weight_hh_l0, self.hidden_dropout)
        return torch.func.functional_call(layer, {"weight_hh_l0": dropped}, (x, state))


class LstmCell(LibraryCell):
    """An LSTM (Hochreiter & Schmidhuber 1997; Gers et al. 2000)."""

    library, states = "lstm", 2

    def forward(
        self, x: Tensor, state: CellState, mask: Tensor | None = None, architecture: Architecture | None = None
    ) -> tuple[Tensor, CellState]:
        if mask is None:
            outputs, (h, c) = self.run(x, (state[0][None], state[1][None]))
            return outputs, (h[0], c[0])
        lstm = self.layer
        h, c = state
        made = []
        for product in functional.linear(x, lstm.weight_ih_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0).unbind(0):
            i, f, g, o = (product + functional.linear(h * mask, lstm.weight_hh_l0)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            made.append(h)
        return torch.stack(made), (h, c)


class GruCell(LibraryCell):
    """A GRU (Cho et al. 2014), as cuDNN has it."""

    library, states = "gru", 1

    def forward(
        self, x: Tensor, state: CellState, mask: Tensor | None = None, architecture: Architecture | None = None
    ) -> tuple[Tensor, CellState]:
        if mask is not None:
            raise SpaceError("PyTorch's GRU cannot mask h; use the dropout of its matrix (hidden_dropout)")
        outputs, h = self.run(x, state[0][None])
        return outputs, (h[0],)
