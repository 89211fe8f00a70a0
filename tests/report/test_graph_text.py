from __future__ import annotations

from example_graphs import ENAS_CELLS, graphs, macro_network, recurrent_cell
from hypothesis import given, settings

from archwright.graph import Edge, Graph, Node
from archwright.report.text import as_text


def test_the_published_cells() -> None:
    """The nodes of the official final architecture (cifar10_micro_final.sh), 0 and 1 being h[i-2] and h[i-1]."""
    normal, reduction = map(as_text, ENAS_CELLS)
    assert normal == [
        "2      = avg 3x3(h[i-2])  + sep 3x3(h[i-2])",
        "3      = identity(h[i-2]) + sep 5x5(h[i-2])",
        "4      = identity(h[i-2]) + sep 5x5(h[i-1])",
        "5      = sep 3x3(h[i-1])  + sep 5x5(h[i-2])",
        "6      = avg 3x3(h[i-2])  + sep 5x5(h[i-1])",
        "output = concat(2, 3, 4, 5, 6)",
    ]
    assert reduction[2] == "4      = sep 5x5(h[i-1]) + sep 5x5(3)"
    assert reduction[-1] == "output = concat(2, 4, 5, 6)"


def test_a_recurrent_cell() -> None:
    assert as_text(recurrent_cell()) == [
        "x    = x[t]",
        "h    = h[t-1]",
        "c    = c[t-1]",
        "a0   = tanh(W1 x + W2 h)",
        "m1   = W3 x * W4 h",
        "a1   = relu(m1)",
        "new  = relu(a0 + c)",
        "h[t] = sigmoid(new * a1)",
        "c[t] = m1",
    ]


def test_a_macro_network() -> None:
    lines = as_text(macro_network())
    assert lines[:4] == [
        "stem   = conv 3x3",
        "0      = conv 3x3(stem)",
        "1      = sep 5x5(0)",
        "2      = conv 3x3(1, stem)",
    ]
    assert lines[8] == "7      = conv 5x5(6, 0, 1, 3, 4, 5)"


def test_sums_inside_products_have_parentheses() -> None:
    nodes = (
        Node("a", "a", "input"),
        Node("b", "b", "input"),
        Node("p/s", "add", "combine"),
        Node("p", "mul", "combine"),
    )
    graph = Graph("p", nodes, (Edge("a", "p/s"), Edge("b", "p/s"), Edge("p/s", "p"), Edge("a", "p")))
    assert as_text(graph) == ["p = (a + b) * a"]


@settings(max_examples=50, deadline=None)
@given(graphs())
def test_any_graph_has_aligned_lines_that_define_before_they_use(graph: Graph) -> None:
    lines = as_text(graph)
    assert len({line.index(" = ") for line in lines}) <= 1
    assert len(lines) == sum(bool(graph.into(node.name)) or node.label != node.name for node in graph.nodes)
    for index, line in enumerate(lines):
        later = {other.split(" = ")[0].strip() for other in lines[index:]}
        expression = line.split(" = ")[1].replace("(", " ").replace(")", " ").replace(",", " ").split()
        assert not later & set(expression)
    assert "\n".join(lines).isascii()
