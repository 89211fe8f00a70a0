"""One step of a recurrent cell as the source of a class `Cell`, with its parameters by the names they have there."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archwright.export.tracing import ExportError
from archwright.nets.highway import HighwayCell
from archwright.nets.recurrent import RecurrentCell, TreeCell

FUNCTIONS = {"identity": "{}", "tanh": "torch.tanh({})", "sigmoid": "torch.sigmoid({})", "relu": "torch.relu({})"}
SIGNS = {"add": "+", "elem_mult": "*"}


@dataclass(frozen=True)
class CellSource:
    """The text of the class, and where its parameters are in the cell: name in the text -> name in the cell."""

    text: str
    parameters: dict[str, str]


def cell_source(cell: RecurrentCell) -> CellSource:
    """Write a cell as it is in evaluation. `ExportError` if it is of a kind that cannot be written."""
    if isinstance(cell, TreeCell):
        states, statements, result = ["h", "c"], *_tree(cell)
    elif isinstance(cell, HighwayCell):
        states, statements, result = ["h"], *_highway(cell)
    else:
        raise ExportError(f"a {type(cell).__name__} cannot be written as plain PyTorch; archwright predict runs it")
    names = {name.replace("weights.", "weight_"): name for name, _ in cell.named_parameters()}
    values = dict(cell.named_parameters())
    lines = [
        "class Cell(nn.Module):",
        '    """One step of the recurrent cell."""',
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        *(f"        self.{name} = nn.Parameter(torch.empty{_shape(values[own])})" for name, own in names.items()),
        "",
        f"    def forward(self, x: Tensor, {', '.join(f'{name}: Tensor' for name in states)}) -> tuple[Tensor, ...]:",
        '        """The state after a step that reads x; its first tensor is the output."""',
        *(f"        {statement}" for statement in statements),
        f"        return {result}",
    ]
    return CellSource("\n".join(lines), names)


def _shape(value: Tensor) -> str:
    return f"({', '.join(map(str, value.shape))})"


def _tree(cell: TreeCell) -> tuple[list[str], str]:
    """Figure 5 of Zoph & Le 2017, node by node; `s` is before the activation, `a` after it."""
    tree = cell.tree
    numbers = range(tree.leaves)
    statements = [
        f"{', '.join(f'x{n}' for n in numbers)} = (x @ self.input).chunk({tree.leaves}, 1)",
        f"{', '.join(f'h{n}' for n in numbers)} = (h @ self.hidden).chunk({tree.leaves}, 1)",
    ]
    for index, node in enumerate(tree.nodes):
        child = 2 * (index - tree.leaves)
        left, right = (f"x{index}", f"h{index}") if index < tree.leaves else (f"a{child}", f"a{child + 1}")
        joined = f"{left} {SIGNS[node.combine]} {right}"
        if index == tree.first:
            statements.append(f"s{index} = {joined}  # the new c")
            joined = f"s{index}"
        statements.append(f"a{index} = {FUNCTIONS[node.activation].format(joined)}")
        if index == tree.second:
            injected = FUNCTIONS[tree.inject.activation].format(f"a{index} {SIGNS[tree.inject.combine]} c")
            statements.append(f"a{index} = {injected}")
    return statements, f"a{len(tree.nodes) - 1}, s{tree.first}"


def _highway(cell: HighwayCell) -> tuple[list[str], str]:
    """ENAS's nodes (Pham et al. 2018, section 2.1), which count from 1."""
    if cell.normalised:
        raise ExportError("the cell normalises h over the batch, so a text's logits would depend on others")
    if cell.fixed is None:
        raise ExportError("shared weights are no model to export; train an architecture of theirs")
    chain = cell.fixed
    statements = []
    for node, activation in enumerate(chain.activations, start=1):
        source = chain.sources[node - 2] if node > 1 else 0
        before = f"n{source}" if source else "h"
        read = f"{before} @ self.weight_{node}_{source}" if source else "x @ self.input + h @ self.hidden"
        statements.append(f"gate, value = ({read}).chunk(2, 1)")
        made = FUNCTIONS[activation].format("value")
        statements.append(f"n{node} = torch.lerp({before}, {made}, torch.sigmoid(gate))")
    ends = ", ".join(f"n{node}" for node in chain.averaged)
    return statements, f"(torch.stack([{ends}]).mean(0),)"
