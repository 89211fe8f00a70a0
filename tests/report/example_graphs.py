"""Graphs of published architectures, and a strategy for any others."""

from __future__ import annotations

from hypothesis import strategies as st

from archwright.graph import KINDS, Edge, Graph, Node

MICRO_OPERATIONS = ("sep 3x3", "sep 5x5", "avg 3x3", "max 3x3", "identity")
MACRO_OPERATIONS = ("conv 3x3", "sep 3x3", "conv 5x5", "sep 5x5", "avg pool", "max pool")


def micro_cell(title: str, arc: str) -> Graph:
    """An ENAS micro cell from its arc string: for each node, input, operation, input, operation."""
    tokens = [int(token) for token in arc.split()]
    names = ["h[i-2]", "h[i-1]", *(str(node) for node in range(2, len(tokens) // 4 + 2))]
    nodes, edges, used = [Node(name, name, "input") for name in names[:2]], [], set()
    for index, name in enumerate(names[2:]):
        for side in (0, 1):
            source, operation = tokens[4 * index + 2 * side : 4 * index + 2 * side + 2]
            part = f"{name}/{('left', 'right')[side]}"
            nodes.append(Node(part, MICRO_OPERATIONS[operation]))
            edges += [Edge(names[source], part), Edge(part, name)]
            used.add(names[source])
        nodes.append(Node(name, "add", "combine"))
    nodes.append(Node("output", "concat", "output"))
    edges += [Edge(name, "output") for name in names if name not in used]
    return Graph(title, tuple(nodes), tuple(edges))


# The final cells of the ENAS paper's code (cifar10_micro_final.sh).
ENAS_CELLS = (
    micro_cell("normal cell", "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1"),
    micro_cell("reduction cell", "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"),
)

# The final macro network of the ENAS paper's code (cifar10_macro_final.sh): operation, then the skip connections.
MACRO_ARC = (
    "0|3:0|0:10|2:001|2:0000|3:11010|2:000001|2:0110111|1:01110101|0:000000000|2:0000010000|0:10011000011"
    "|2:010000010110|1:0010001110101|0:11010100000100|2:001000000010101|2:0100010011110010|2:00001010100101001"
    "|3:011010000010101000|3:0110000000001100001|0:10010110001000001100|3:010110010110110100100"
    "|0:1010100000000101001000|0:11000111010001010011000"
)


def macro_network(arc: str = MACRO_ARC) -> Graph:
    """A chain of layers with skip connections; bit i of a layer selects the stem (0) or layer i - 1."""
    names, nodes, edges = ["stem"], [Node("stem", "conv 3x3", "input")], []
    for index, part in enumerate(arc.split("|")):
        operation, _, bits = part.partition(":")
        nodes.append(Node(str(index), MACRO_OPERATIONS[int(operation)]))
        edges += [
            Edge(names[-1], str(index)),
            *(Edge(names[i], str(index)) for i, bit in enumerate(bits) if bit == "1"),
        ]
        names.append(str(index))
    nodes.append(Node("output", "softmax", "output"))
    return Graph("macro network", tuple(nodes), (*edges, Edge(names[-1], "output")))


def recurrent_cell() -> Graph:
    """The base-2 recurrent cell of Zoph & Le 2017, figure 5."""
    nodes = [Node("x", "x[t]", "input"), Node("h", "h[t-1]", "input"), Node("c", "c[t-1]", "input")]
    nodes += [Node("a0/add", "add", "combine"), Node("a0", "tanh"), Node("m1", "mul", "combine"), Node("a1", "relu")]
    nodes += [Node("new/add", "add", "combine"), Node("new", "relu"), Node("h[t]/mul", "mul", "combine")]
    nodes += [Node("h[t]", "sigmoid", "output"), Node("c[t]", "c[t]", "output")]
    edges = [Edge("x", "a0/add", "W1"), Edge("h", "a0/add", "W2"), Edge("a0/add", "a0")]
    edges += [Edge("x", "m1", "W3"), Edge("h", "m1", "W4"), Edge("m1", "a1"), Edge("m1", "c[t]")]
    edges += [Edge("a0", "new/add"), Edge("c", "new/add"), Edge("new/add", "new")]
    edges += [Edge("new", "h[t]/mul"), Edge("a1", "h[t]/mul"), Edge("h[t]/mul", "h[t]")]
    return Graph("recurrent cell", tuple(nodes), tuple(edges))


PUBLISHED = (*ENAS_CELLS, macro_network(), recurrent_cell())


@st.composite
def graphs(draw: st.DrawFn, nodes: int = 40) -> Graph:
    """Any directed acyclic graph: several parts, parallel edges, labels and all kinds included."""
    count = draw(st.integers(1, nodes))
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    chosen = draw(st.lists(pairs, max_size=3 * count)) if count > 1 else []
    labels = draw(st.lists(st.sampled_from(["", "", "", "W1"]), min_size=len(chosen), max_size=len(chosen)))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=count, max_size=count))
    names = draw(st.permutations([f"n{index}" for index in range(count)]))
    order = draw(st.permutations(range(count)))  # how nodes are listed says nothing about how they depend
    return Graph(
        "any",
        tuple(Node(names[index], "sep 3x3" * (index % 3), kinds[index]) for index in order),
        tuple(Edge(names[a], names[b], label) for (a, b), label in zip(chosen, labels, strict=True)),
    )
