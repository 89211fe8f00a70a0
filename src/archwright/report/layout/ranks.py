"""The first step of a layered drawing: the rank of each box, and the lanes on which long edges pass others.

All long edges that start at one box share one lane: they are the same value, and a net with a hundred skip connections
has only as many lanes as boxes. An item is a box, one rank of a lane, or a label that sits on an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

from archwright.graph import Graph

PART_WEIGHT = 4  # a part stands next to its user before other lanes are shortened


@dataclass(frozen=True)
class Item:
    """An occupant of a rank: a box (`node`), a lane of that box's value, or the label of edge `edge`."""

    rank: int
    node: str
    lane: bool = False
    edge: int | None = None

    @property
    def is_box(self) -> bool:
        return not self.lane and self.edge is None


@dataclass(frozen=True)
class Ranks:
    """The items of each rank, top to bottom, and for each edge of the graph the items it passes, one per rank."""

    rows: tuple[tuple[Item, ...], ...]
    paths: tuple[tuple[Item, ...], ...]

    @cached_property
    def segments(self) -> tuple[tuple[Item, Item], ...]:
        """Every pair of items in neighbouring ranks that an edge connects, once."""
        return tuple(dict.fromkeys(pair for path in self.paths for pair in pairwise(path)))

    @cached_property
    def straight(self) -> tuple[tuple[Item, Item], ...]:
        """Segments that should be vertical: those of lanes, and those between boxes that are alone in their ranks."""
        boxes = [sum(item.is_box for item in row) for row in self.rows]
        lanes = [(a, b) for a, b in self.segments if a.lane and b.lane]
        spine = [(a, b) for a, b in self.segments if a.is_box and b.is_box and boxes[a.rank] == boxes[b.rank] == 1]
        return (*lanes, *spine)


def assign_ranks(graph: Graph) -> dict[str, int]:
    """Return the rank of each node: longest paths from the inputs, then every box moved to shorten the lanes.

    Inputs are in rank 0 and outputs in the last, unless edges lead into inputs or out of outputs.
    """
    order = list(graph.in_order())
    length = {edge: 2 if edge.label else 1 for edge in graph.edges}  # a label takes a rank of its own
    rank: dict[str, int] = {}

    def lowest(name: str) -> int:
        return max((rank[e.source] + length[e] for e in graph.into(name)), default=0)

    for node in order:
        rank[node.name] = lowest(node.name)
    outputs = [node.name for node in order if node.kind == "output" and not graph.out_of(node.name)]
    rank |= dict.fromkeys(outputs, max(rank.values()))

    def lanes(name: str) -> int:
        length = max((rank[e.target] for e in graph.out_of(name)), default=rank[name]) - rank[name]
        return PART_WEIGHT * length if graph.is_part(graph[name]) else length

    for _ in range(3):  # a few rounds: moving one box can free another
        for node in reversed(order):
            if node.kind in ("input", "output") or not graph.out_of(node.name):
                continue
            high = min(rank[e.target] - length[e] for e in graph.out_of(node.name))
            concerned = {node.name, *(e.source for e in graph.into(node.name))}
            costs = {}
            for candidate in range(lowest(node.name), high + 1):
                rank[node.name] = candidate
                costs[candidate] = sum(lanes(name) for name in concerned)
            # Ties go down, next to where the value is used: the lane it comes from often passes there anyway.
            rank[node.name] = min(costs, key=lambda candidate: (costs[candidate], -candidate))
    return rank


def build_ranks(graph: Graph) -> Ranks:
    """Return boxes, lanes and labels by rank; within a rank, boxes in the graph's order, then lanes and labels."""
    rank = assign_ranks(graph)
    # Ranks that moving boxes has emptied would only be a wider gap.
    used = sorted(set(rank.values()) | {rank[e.target] - 1 for e in graph.edges if e.label})
    number = {old: new for new, old in enumerate(used)}
    rows: list[dict[Item, None]] = [{} for _ in used]
    box = {node.name: Item(number[rank[node.name]], node.name) for node in graph.nodes}
    paths = []
    for index, edge in enumerate(graph.edges):
        start, end = box[edge.source], box[edge.target]
        last = end.rank - 1 if edge.label else end.rank
        lane = [Item(k, edge.source, lane=True) for k in range(start.rank + 1, last)]
        label = [Item(last, edge.source, edge=index)] if edge.label else []
        paths.append((start, *lane, *label, end))
    for item in chain(box.values(), *paths):
        rows[item.rank][item] = None
    return Ranks(tuple(tuple(row) for row in rows), tuple(paths))
