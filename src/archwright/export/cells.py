"""A recurrent cell as source: the classes that the network itself runs, and a module `Cell` with the weights."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archwright.export.expressions import fold
from archwright.export.tracing import ExportError
from archwright.nets.recurrence import Chain, Node, Tree, activate, highway
from archwright.nets.recurrent import ChainCell, LibraryCell, RecurrentCell, TreeCell


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
        result = f"CELL.step({x}, {h}, c)"
    elif isinstance(cell, ChainCell):
        if cell.normalised:
            raise ExportError("the cell normalises over the batch, so a text's logits would depend on others")
        if cell.fixed is None:
            raise ExportError("shared weights are no model to export; train an architecture of theirs")
        definitions, wiring = (activate, highway, Chain), cell.fixed
        weights = {f"weights.{index}": f"weights.{name}" for index, name in enumerate(cell.matrices(wiring))}
        result = "(CELL.step(x @ self.input + h @ self.hidden, h, self.weights),)"
    else:
        raise ExportError(f"a {type(cell).__name__} cannot be written as plain PyTorch; archwright predict runs it")
    hidden = f"torch.empty{tuple(cell.hidden.shape)}"
    modules = [f"input = nn.Parameter(torch.empty{tuple(cell.input.shape)})", f"hidden = nn.Parameter({hidden})"]
    modules += [f"weights = nn.ParameterList({hidden} for _ in range({len(weights)}))"] * bool(weights)
    parts = [
        *(inspect.getsource(definition).rstrip() for definition in definitions),
        fold(f"CELL = {wiring!r}".replace("'", '"'), 0),
        _module(modules, cell.states, result),
    ]
    return CellSource("\n\n\n".join(parts), {"input": "input", "hidden": "hidden", **weights})


def _library_cell(cell: LibraryCell) -> CellSource:
    layer, parts = cell.layer, ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    module = f"cell = nn.{cell.library.upper()}Cell({layer.input_size}, {layer.hidden_size})"
    result = "self.cell(x, (h, c))" if cell.states == 2 else "(self.cell(x, h),)"
    text = _module([module], cell.states, result)
    return CellSource(text, {f"cell.{part}": f"{cell.library}.{part}_l0" for part in parts})


def _module(modules: Sequence[str], states: int, result: str) -> str:
    """Write the class of a step: what it holds, and its result from x and the first `states` of h and c."""
    holds = "\n".join(f"        self.{module}" for module in modules)
    given = ", ".join(f"{name}: Tensor" for name in ("x", "h", "c")[: 1 + states])
    return f'''\
class Cell(nn.Module):
    """One step of the recurrent cell."""

    def __init__(self) -> None:
        super().__init__()
{holds}

    def forward(self, {given}) -> tuple[Tensor, ...]:
        """The state after a step that reads x; its first tensor is the output."""
        return {result}'''
