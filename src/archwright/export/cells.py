"""A recurrent cell as source: the classes that the network itself runs, and a module `Cell` with the weights."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from archwright.export.expressions import fold
from archwright.export.tracing import ExportError
from archwright.nets.recurrence import Chain, Node, Tree, activate
from archwright.nets.recurrent import HighwayCell, LibraryCell, RecurrentCell, TreeCell


@dataclass(frozen=True)
class CellSource:
    """The text, and the names of the cell's parameters by their names in it."""

    text: str
    parameters: dict[str, str]


def cell_source(cell: RecurrentCell) -> CellSource:
    """Write a cell as it is in evaluation.

    Raises:
        ExportError: if its kind cannot be written.
    """
    if isinstance(cell, LibraryCell):
        return _library_cell(cell)
    definitions: tuple[Any, ...]
    wiring: Any
    if isinstance(cell, TreeCell):
        definitions, wiring, weights = (activate, Node, Tree), cell.tree, {}
        x, h = (f"({name}).chunk({wiring.leaves}, 1)" for name in ("x @ self.input", "h @ self.hidden"))
        states, result = "h: Tensor, c: Tensor", f"CELL.step({x}, {h}, c)"
    elif isinstance(cell, HighwayCell):
        if cell.normalised:
            raise ExportError("the cell normalises h over the batch, so a text's logits would depend on others")
        if cell.fixed is None:
            raise ExportError("shared weights are no model to export; train an architecture of theirs")
        definitions, wiring = (activate, Chain), cell.fixed
        pairs = enumerate(wiring.sources, start=2)
        weights = {f"weights.{index}": f"weights.{node}_{source}" for index, (node, source) in enumerate(pairs)}
        states, result = "h: Tensor", "(CELL.step(x @ self.input + h @ self.hidden, h, self.weights),)"
    else:
        raise ExportError(f"a {type(cell).__name__} cannot be written as plain PyTorch; archwright predict runs it")
    hidden = f"torch.empty{tuple(cell.hidden.shape)}"
    modules = [f"input = nn.Parameter(torch.empty{tuple(cell.input.shape)})", f"hidden = nn.Parameter({hidden})"]
    modules += [f"weights = nn.ParameterList({hidden} for _ in range({len(weights)}))"] * bool(weights)
    modules_text = "\n".join(f"        self.{module}" for module in modules)
    parts = [
        *(inspect.getsource(definition).rstrip() for definition in definitions),
        fold(f"CELL = {wiring!r}".replace("'", '"'), 0),
        f'''\
class Cell(nn.Module):
    """One step of the recurrent cell."""

    def __init__(self) -> None:
        super().__init__()
{modules_text}

    def forward(self, x: Tensor, {states}) -> tuple[Tensor, ...]:
        """The state after a step that reads x; its first tensor is the output."""
        return {result}''',
    ]
    return CellSource("\n\n\n".join(parts), {"input": "input", "hidden": "hidden", **weights})


def _library_cell(cell: LibraryCell) -> CellSource:
    name, states = f"{cell.library.upper()}Cell", "h: Tensor, c: Tensor" if cell.states == 2 else "h: Tensor"
    result = "self.cell(x, (h, c))" if cell.states == 2 else "(self.cell(x, h),)"
    layer = cell.layer
    text = f'''\
class Cell(nn.Module):
    """One step of PyTorch's {cell.library.upper()}."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.{name}({layer.input_size}, {layer.hidden_size})

    def forward(self, x: Tensor, {states}) -> tuple[Tensor, ...]:
        """The state after a step that reads x; its first tensor is the output."""
        return {result}'''
    parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return CellSource(text, {f"cell.{part}": f"{cell.library}.{part}_l0" for part in parts})
