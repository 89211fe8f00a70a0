"""The first step of a layered drawing: which layer each box stands in, and the lanes on which long edges pass others.

All long edges that start at one box share one lane: they are the same value, and a net with a hundred skip connections
has only as many lanes as boxes. An item is a box, one layer of a lane, or a label that sits on an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from archwright.report.graph import Graph

PART_WEIGHT = 4  # a part stands next to its whole before other lanes are shortened


@dataclass(frozen=True)
class Item:
    """Something that takes room in a layer: a box (`node`), a lane of that box's value, or the label of edge `edge`."""

    layer: int
    node: str
    lane: bool = False
    edge: int | None = None

    @property
    def is_box(self) -> bool:
        """Whether it is a node of the graph."""
        return not self.lane and self.edge is None


@dataclass(frozen=True)
class Layers:
    """The items of each layer, top to bottom, and for each edge of the graph the items it passes, one per layer."""

    rows: tuple[tuple[Item, ...], ...]
    paths: tuple[tuple[Item, ...], ...]

    @cached_property
    def segments(self) -> tuple[tuple[Item, Item], ...]:
        """Every pair of items in neighbouring layers that an edge connects, once."""
        return tuple(dict.fromkeys(pair for path in self.paths for pair in pairwise(path)))

    @cached_property
    def straight(self) -> tuple[tuple[Item, Item], ...]:
        """Segments that should be vertical: those of lanes, and those between boxes that are alone in their layers."""
        boxes = [sum(item.is_box for item in row) for row in self.rows]
        lanes = [(a, b) for a, b in self.segments if a.lane and b.lane]
        spine = [(a, b) for a, b in self.segments if a.is_box and b.is_box and boxes[a.layer] == boxes[b.layer] == 1]
        return (*lanes, *spine)


def assign_layers(graph: Graph) -> dict[str, int]:
    """The layer of each node: longest paths from the inputs, then every box moved to where the lanes are shortest.

    Inputs are in layer 0 and outputs in the last, unless edges lead into inputs or out of outputs.
    """
    order = list(graph.in_order())
    length = {edge: 2 if edge.label else 1 for edge in graph.edges}  # a label takes a layer of its own
    layer: dict[str, int] = {}
    for node in order:
        layer[node.name] = max((layer[e.source] + length[e] for e in graph.into(node.name)), default=0)
    last = max(layer.values())
    for node in order:
        if node.kind == "output" and not graph.out_of(node.name):
            layer[node.name] = last

    def lanes(name: str) -> int:
        length = max((layer[e.target] for e in graph.out_of(name)), default=layer[name]) - layer[name]
        return PART_WEIGHT * length if graph.is_part(graph[name]) else length

    for _ in range(3):  # a few rounds: moving one box can free another
        for node in reversed(order):
            if node.kind in ("input", "output") or not graph.out_of(node.name):
                continue
            low = max((layer[e.source] + length[e] for e in graph.into(node.name)), default=0)
            high = min(layer[e.target] - length[e] for e in graph.out_of(node.name))
            concerned = {node.name, *(e.source for e in graph.into(node.name))}
            costs = {}
            for candidate in range(low, high + 1):
                layer[node.name] = candidate
                costs[candidate] = sum(lanes(name) for name in concerned)
            # Ties go down, next to where the value is used: the lane it comes from often passes there anyway.
            layer[node.name] = min(costs, key=lambda candidate: (costs[candidate], -candidate))
    return layer


def build_layers(graph: Graph) -> Layers:
    """Boxes, lanes and labels by layer; within a layer, boxes in the graph's order, then lanes and labels."""
    layer = assign_layers(graph)
    used = sorted(set(layer.values()) | {layer[e.target] - 1 for e in graph.edges if e.label})
    # Layers that moving boxes has emptied would only be a wider gap.
    number = {old: new for new, old in enumerate(used)}
    rows: list[dict[Item, None]] = [{} for _ in used]
    box = {node.name: Item(number[layer[node.name]], node.name) for node in graph.nodes}
    for item in box.values():
        rows[item.layer][item] = None
    paths = []
    for index, edge in enumerate(graph.edges):
        start, end = box[edge.source], box[edge.target]
        last = end.layer - 1 if edge.label else end.layer
        path = [start, *(Item(k, edge.source, lane=True) for k in range(start.layer + 1, last))]
        if edge.label:
            path.append(Item(last, edge.source, edge=index))
        path.append(end)
        for item in path:
            rows[item.layer][item] = None
        paths.append(tuple(path))
    return Layers(tuple(tuple(row) for row in rows), tuple(paths))
