"""The forward method of a written class: statements with short names, small steps written inside the larger ones.

A name is used again once its value is no longer needed, so that tensors are freed as early as in the original.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from torch import fx

from archwright.export.expressions import Text, arguments, expression
from archwright.export.partition import Partition, Unit
from archwright.export.tracing import Call

LONGEST = 100  # characters of a statement that others are written inside
DEEPEST = 2  # calls in calls
LETTERS = "xyzabcdefghkmnpqrstuvw"


@dataclass(frozen=True)
class Statement:
    """`targets = source`; `shape` is that of a single tensor, with the batch first, and not in its `repr`."""

    targets: tuple[str, ...]
    source: str
    shape: tuple[int, ...] | None = field(repr=False)


@dataclass(frozen=True)
class Forward:
    """The arguments, the statements and the result of a forward method."""

    inputs: tuple[str, ...]
    statements: tuple[Statement, ...]
    returned: str
    outputs: int


class Writer:
    """Writes the steps `units` of a call; `attributes` names what it holds."""

    def __init__(self, partition: Partition, call: Call, units: Sequence[Unit], attributes: Mapping[str, str]) -> None:
        self._whole = call is partition.traced.network
        self._attributes = attributes
        self._inputs, self._results = _boundary(partition.within[call])
        self._units = units
        self._outputs = {unit: _boundary(unit.nodes)[1] if unit.part else [unit.nodes[-1]] for unit in units}
        self._of = {node: unit for unit, nodes in self._outputs.items() for node in nodes}
        self._occurrences = Counter(node for unit in units for node in self._read(unit))
        self._occurrences.update(self._results)
        self._inlined: set[fx.Node] = set()

    def write(self) -> Forward:
        for unit in self._units:
            self._inline_into(unit)
        returned = self._results[0]
        if len(self._results) == 1 and self._may_inline(returned) and self._source(self._of[returned]).depth <= DEEPEST:
            self._inlined.add(returned)
        names = _Names()
        inputs = tuple(names.take(node) for node in self._inputs)
        written = [unit for unit in self._units if not self._inlined.intersection(self._outputs[unit])]
        reads = [list(self._leaves(self._read(unit))) for unit in written] + [list(self._leaves(self._results))]
        last = {node: index for index, nodes in enumerate(reads) for node in nodes}
        statements = []
        for index, unit in enumerate(written):
            source, outputs = self._source(unit, names).source, self._outputs[unit]
            names.free(node for node in reads[index] if last[node] == index)
            shape = outputs[0].meta.get("shape") if len(outputs) == 1 else None
            statements.append(Statement(tuple(names.take(node) for node in outputs), source, shape))
        result = ", ".join(self._text(node, names).source for node in self._results)
        return Forward(inputs, tuple(statements), result, len(self._results))

    def _inline_into(self, unit: Unit) -> None:
        """Choose which of the steps that a unit reads are written inside it: all that are simple, if there is room."""
        if unit.part is not None and self._whole:
            return
        simple = [
            node for node in self._read(unit) if self._may_inline(node) and self._source(self._of[node]).depth < DEEPEST
        ]
        self._inlined.update(simple)
        if len(self._source(unit).source) > LONGEST:
            self._inlined.difference_update(simple)

    def _may_inline(self, node: fx.Node) -> bool:
        unit = self._of.get(node)
        if unit is None or (unit.part is not None and self._whole):  # the network's own parts get a line each
            return False
        return self._occurrences[node] == 1 and len(self._outputs[unit]) == 1

    def _read(self, unit: Unit) -> list[fx.Node]:
        """Return the values that a unit reads, as often as it does."""
        if unit.part is not None or len(unit.nodes) > 1:
            return _boundary(unit.nodes)[0]
        found: list[fx.Node] = []
        fx.node.map_arg((unit.nodes[0].args, unit.nodes[0].kwargs), found.append)
        return [node for node in found if node.op != "get_attr"]

    def _leaves(self, nodes: Sequence[fx.Node]) -> Iterator[fx.Node]:
        """Yield the named values that a statement which reads these reads."""
        for node in nodes:
            if node in self._inlined:
                yield from self._leaves(self._read(self._of[node]))
            else:
                yield node

    def _text(self, node: fx.Node, names: _Names | None) -> Text:
        if node.op == "get_attr":
            return Text(f"self.{self._attributes[str(node.target)]}", True, 0)
        if node in self._inlined:
            return self._source(self._of[node], names)
        return Text("x" if names is None else names[node], True, 0)

    def _source(self, unit: Unit, names: _Names | None = None) -> Text:
        def name(node: fx.Node) -> Text:
            return self._text(node, names)

        first = unit.nodes[0]
        if unit.part is None and unit.layer is None and first.op != "call_module":
            return expression(first, name)
        depth = 1 + max((name(node).depth for node in self._read(unit)), default=0)
        if unit.part is None and len(unit.nodes) == 1 and first.op == "call_module":
            given = arguments(first.args, first.kwargs, name)
        else:
            given = ", ".join(name(node).source for node in self._read(unit))
        called = f"self.{self._attributes[unit.path]}" if unit.part or unit.layer else "F.relu"  # a ReLU by itself
        return Text(f"{called}({given})", True, depth)


class _Names:
    """Short names for values, used again when freed, the last one first."""

    def __init__(self) -> None:
        self._names: dict[fx.Node, str] = {}
        self._free: list[str] = []
        self._new = (letter + (str(round) if round else "") for round in count() for letter in LETTERS)

    def __getitem__(self, node: fx.Node) -> str:
        return self._names[node]

    def take(self, node: fx.Node) -> str:
        self._names[node] = self._free.pop(0) if self._free else next(self._new)
        return self._names[node]

    def free(self, nodes: Iterator[fx.Node]) -> None:
        freed = list(dict.fromkeys(self._names[node] for node in nodes))
        self._free = freed + [name for name in self._free if name not in freed]


def _boundary(nodes: Sequence[fx.Node]) -> tuple[list[fx.Node], list[fx.Node]]:
    """Return the values that steps read from outside, in the order read, and those of theirs that are read outside."""
    inside = set(nodes)
    read = [source for node in nodes for source in node.all_input_nodes]
    inputs = dict.fromkeys(source for source in read if source not in inside and source.op != "get_attr")
    return list(inputs), [node for node in nodes if any(user not in inside for user in node.users)]
