from __future__ import annotations

import pytest
from example_graphs import PUBLISHED, graphs
from hypothesis import given, settings

from archwright.errors import SpaceError
from archwright.graph import Edge, Graph, Node

A, B, C = Node("a", "conv"), Node("b", "add", "combine"), Node("c", "max")


@pytest.mark.parametrize(
    ("nodes", "edges", "says"),
    [
        ((), (), "no nodes"),
        ((A, A), (), "'a' names two nodes"),
        ((Node("", "conv"),), (), "empty"),
        ((Node("a", "conv", "layer"),), (), "'layer'; pick one of input, operation, combine, output"),
        ((A, B), (Edge("a", "x"),), "'a' -> 'x' needs a node 'x'; there are a, b"),
        ((A, B), (Edge("a", "b"), Edge("b", "a")), "circle; it is among a, b"),
        ((A,), (Edge("a", "a"),), "circle; it is among a"),
        ((Node("a", "two\nlines"),), (), r"'two\\nlines' has characters that cannot be printed"),
        ((A, B), (Edge("a", "b", "\x00"),), "cannot be printed"),
    ],
)
def test_a_wrong_graph_is_named(nodes: tuple[Node, ...], edges: tuple[Edge, ...], says: str) -> None:
    with pytest.raises(SpaceError, match=says):
        Graph("cell", nodes, edges)


def test_operands_keep_their_order() -> None:
    graph = Graph("cell", (A, B, C), (Edge("c", "b"), Edge("a", "b"), Edge("a", "b", "again")))
    assert [(edge.source, edge.label) for edge in graph.into("b")] == [("c", ""), ("a", ""), ("a", "again")]
    assert graph.out_of("b") == ()


def test_a_part_belongs_to_its_only_user() -> None:
    nodes = (
        Node("x", "x", "input"),
        Node("4/left", "conv"),
        Node("4/right", "conv"),
        Node("4", "add"),
        Node("5", "max"),
    )
    edges = (Edge("x", "4/left"), Edge("x", "4/right"), Edge("4/left", "4"), Edge("4/right", "4"), Edge("4/right", "5"))
    graph = Graph("cell", nodes, edges)
    assert [node.name for node in graph.nodes if graph.is_part(node)] == ["4/left"]


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_nodes_come_after_their_operands(graph: Graph) -> None:
    place = {node.name: index for index, node in enumerate(graph.in_order())}
    assert sorted(place) == sorted(node.name for node in graph.nodes)
    assert all(place[edge.source] < place[edge.target] for edge in graph.edges)


def test_published_graphs_are_values() -> None:
    assert len({*PUBLISHED, *PUBLISHED}) == len(PUBLISHED)
