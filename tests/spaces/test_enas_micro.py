"""The micro space: its published figures, its arc strings, and what is stored with its architectures."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archwright.errors import SpaceError
from archwright.nets.ops import OPERATIONS
from archwright.nets.skeleton import CellNetwork
from archwright.nets.wiring import loose_ends
from archwright.space import Open, Task, check, count, sample
from archwright.spaces.cells import CELLS, wiring
from archwright.spaces.enas_micro import EnasMicro

NORMAL = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1"  # cifar10_micro_final.sh
REDUCTION = "1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
CIFAR10 = Task(channels=3, height=32, width=32, classes=10)


def child(space: EnasMicro, normal: str = NORMAL, reduction: str = REDUCTION, task: Task = CIFAR10) -> CellNetwork:
    network = space.network(Open.only(space, space.from_arc(normal, reduction)), task)
    assert isinstance(network, CellNetwork)
    return network


def trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


# Published figures


@pytest.mark.parametrize(("base", "parameters"), [(True, 3_894_372), (False, 3_729_420)])
def test_the_published_architecture_has_the_published_size(base: bool, parameters: int) -> None:
    """papers.md C4: with and without the official code's `layer_base`; the auxiliary head does not count."""
    assert trainable(child(EnasMicro().final(auxiliary=False, base=base))) == parameters


def test_the_final_network_has_17_cells_of_36_to_144_filters() -> None:
    network = child(EnasMicro().final())
    assert len(network.cells) == 17
    assert [index for index, kind in enumerate(network.kinds) if kind == "reduction"] == [5, 11]
    assert network.auxiliary_after == 12
    loose = {"normal": 5, "reduction": 4}
    filters = [36] * 5 + [72] * 6 + [144] * 6
    halvings = [0] * 5 + [1] * 6 + [2] * 6
    assert [cell.shape.channels for cell in network.cells] == [
        loose[kind] * width for kind, width in zip(network.kinds, filters, strict=True)
    ]
    assert [cell.shape.halvings for cell in network.cells] == halvings


def test_the_search_network_has_8_cells_of_20_to_80_filters() -> None:
    network = child(EnasMicro())
    assert [index for index, kind in enumerate(network.kinds) if kind == "reduction"] == [2, 5]
    assert [cell.shape.channels for cell in network.cells] == [20, 20, 40, 40, 40, 80, 80, 80]


def test_the_published_cells_mean_what_the_paper_draws() -> None:
    cells = wiring(EnasMicro().from_arc(NORMAL, REDUCTION), 5)
    assert cells["normal"][0] == ((0, "avg_3x3"), (0, "sep_3x3"))
    assert cells["normal"][4] == ((0, "avg_3x3"), (1, "sep_5x5"))
    assert cells["reduction"][1] == ((0, "max_3x3"), (0, "avg_3x3"))
    assert cells["reduction"][2] == ((1, "sep_5x5"), (3, "sep_5x5"))
    assert loose_ends(cells["normal"]) == (2, 3, 4, 5, 6)
    assert loose_ends(cells["reduction"]) == (2, 4, 5, 6)


def test_the_space_has_as_many_answer_lists_as_its_docstring_says() -> None:
    assert count(EnasMicro()) == (25**5 * (2 * 3 * 4 * 5 * 6) ** 2) ** 2


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_count_of_other_sizes(nodes: int) -> None:
    answers = 1
    for node in range(nodes):
        answers *= (2 + node) ** 2 * 2**2
    assert count(EnasMicro(nodes=nodes, operations=("sep_3x3", "identity"))) == answers**2


# Arc strings


@st.composite
def arcs(draw: st.DrawFn, nodes: int) -> str:
    numbers = []
    for node in range(nodes):
        for _ in range(2):
            numbers += [draw(st.integers(0, node + 1)), draw(st.integers(0, 4))]
    return " ".join(map(str, numbers))


@given(st.data(), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_an_arc_round_trips(data: st.DataObject, nodes: int) -> None:
    space = EnasMicro(nodes=nodes)
    written = data.draw(arcs(nodes)), data.draw(arcs(nodes))
    assert space.to_arc(space.from_arc(*written)) == written


@given(st.integers(0, 2**32), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_an_architecture_round_trips(seed: int, nodes: int) -> None:
    space = EnasMicro(nodes=nodes)
    architecture = sample(space, seed)
    assert space.from_arc(*space.to_arc(architecture)) == architecture


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("arc", "wrong"),
    [
        ("0 0 0", "must have 4 numbers"),
        ("0 0 0 0 0", "must have 4 numbers"),
        ("", "must have 4 numbers"),
        ("0 0 0 -1", "from 0 up"),
        ("0 0 0 sep", "whole numbers"),
        ("0 0 0 1.5", "whole numbers"),
        ("0 0 0 5", "has operation 5; there are 0 to 4"),
        ("0 0 2 0", "/2/right.*/2'"),
    ],
)
def test_a_bad_arc_is_an_error_that_names_its_cell(cell: str, arc: str, wrong: str) -> None:
    pair = (arc, "0 0 1 0") if cell == "normal" else ("0 0 1 0", arc)
    with pytest.raises(SpaceError, match=f"{cell}.*{wrong}|{cell}{wrong}"):
        EnasMicro(nodes=1).from_arc(*pair)


# What belongs to an architecture, and what only to its network


@pytest.mark.parametrize("seed", range(3))
def test_an_architecture_of_the_search_is_one_of_the_final_space(seed: int) -> None:
    space = EnasMicro()
    assert check(space.final(filters=8), sample(space, seed)) == sample(space.final(), seed)


@pytest.mark.parametrize("changed", [{"nodes": 4}, {"operations": ("sep_3x3", "identity")}])
def test_an_architecture_of_another_space_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(SpaceError, match="the architecture was made with"):
        check(dataclasses.replace(EnasMicro(), **changed), sample(EnasMicro(), 0))


def test_final_takes_changes_and_keeps_what_is_searched() -> None:
    space = EnasMicro(nodes=3).final(filters=8, dropout=0)
    assert (space.nodes, space.filters, space.dropout, space.repeats) == (3, 8, 0, 5)


def test_concatenated_ends_share_no_weights() -> None:
    space = EnasMicro(ends="concatenate")
    assert not space.shares_weights
    with pytest.raises(SpaceError, match="use ends='project'"):
        space.network(Open.all(space), CIFAR10)


@pytest.mark.parametrize("field", ["nodes", "repeats", "filters"])
def test_a_size_below_one_is_refused(field: str) -> None:
    with pytest.raises(SpaceError, match=f"{field} is 0; it must be at least 1"):
        EnasMicro(**{field: 0})


@pytest.mark.parametrize("operations", [(), ("identity", "identity")])
def test_operations_must_differ(operations: tuple[str, ...]) -> None:
    with pytest.raises(SpaceError, match="one or more different values"):
        EnasMicro(operations=operations)


# Operations of the user's own


class Negative(nn.Module):
    """An operation that is told what it is asked to be, and halves by skipping."""

    after_relu = True

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == self.channels
        assert x.min() >= 0
        return -x[:, :, :: self.stride, :: self.stride]


def test_an_operation_of_ones_own_is_searched_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATIONS, "negative", Negative)
    space = EnasMicro(nodes=1, repeats=1, filters=2, operations=("identity", "negative"), reduction="strided")
    task = Task(3, 7, 8, 10)
    network = child(space, "0 1 1 0", "0 1 1 1", task)
    assert network(torch.randn(2, 3, 7, 8)).shape == (2, 10)
    made = [(m.channels, m.stride) for m in network.modules() if isinstance(m, Negative)]
    assert made == [(2, 1), *[(4, 2)] * 2, (4, 1), *[(8, 2)] * 2, (8, 1)]
    shared = space.network(Open.all(space), task)
    assert sum(isinstance(m, Negative) for m in shared.modules()) == 5 * 2 * 2  # cells, sides, sources
    assert shared(torch.randn(2, 3, 7, 8), sample(space, 0)).shape == (2, 10)


def test_an_operation_that_nobody_added_is_refused() -> None:
    space = EnasMicro(operations=("sep_3x3", "conv_9x9"))
    with pytest.raises(SpaceError, match=r"'conv_9x9' is not an operation; .*[Tt]here are avg_3x3, .*identity"):
        space.network(Open.all(space), CIFAR10)


# Drawing


def test_the_output_of_a_drawn_cell_joins_its_loose_ends() -> None:
    space = EnasMicro()
    architecture = sample(space, 5)
    for graph, nodes in zip(space.graphs(architecture), wiring(architecture, 5).values(), strict=True):
        joined = [int(edge.source) for edge in graph.edges if edge.target == "output"]
        assert tuple(joined) == loose_ends(nodes)
