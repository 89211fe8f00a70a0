"""The recurrent space of NAS: Figure 5 by hand, the published cell, sizes; and the language models around cells."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from archwright.errors import SpaceError
from archwright.nets.language import LanguageModel, units_within
from archwright.nets.recurrence import Node, Tree
from archwright.nets.recurrent import LstmCell, TreeCell
from archwright.space import Choice, Open, TextTask, count, decisions_of, sample
from archwright.spaces.nas_recurrent import NAS_CELL, NasRecurrent

TASK = TextTask(30)


def model(space: NasRecurrent, seed: int = 0) -> LanguageModel:
    network = space.network(Open.only(space, sample(space, seed)), TASK)
    assert isinstance(network, LanguageModel)
    return network


# Tokens


def test_base_2_asks_10_tokens_and_base_8_asks_34_in_the_order_of_figure_5() -> None:
    small = NasRecurrent(base=2)
    names = [decision.name for decision in decisions_of(small, sample(small, 0))]
    tokens = [f"{node}/{field}" for node in (0, 1, 2, "inject") for field in ("combine", "activation")]
    assert names == [*tokens, "index/first", "index/second"]
    assert len(decisions_of(NasRecurrent(), sample(NasRecurrent(), 0))) == 34


def test_the_space_has_the_published_number_of_cells() -> None:
    assert count(NasRecurrent()) == 8**15 * 8 * 15 * 15  # about 6e16


@pytest.mark.parametrize("base", range(2, 13))
def test_every_base_is_a_binary_tree(base: int) -> None:
    space = NasRecurrent(base=base)
    last = decisions_of(space, sample(space, 0))[-1]
    assert isinstance(last, Choice)
    assert len(last.options) == 2 * base - 1
    used = [2 * (node - base) + side for node in range(base, 2 * base - 1) for side in (0, 1)]
    assert sorted(used) == list(range(2 * base - 2))  # every node but the root feeds exactly one other


# Semantics


def test_the_papers_example_by_hand() -> None:
    """Figure 5 with numbers: W1 x = 0.5, W2 h = -0.25, W3 x = 2, W4 h = 3, c(t-1) = 0.75."""
    space = NasRecurrent(base=2)
    tokens = ["add", "tanh", "elem_mult", "relu", "elem_mult", "sigmoid", "add", "relu", 1, 0]
    tree = space.tree(space.from_tokens(tokens))
    x, h = [torch.tensor([[v]]) for v in (0.5, 2.0)], [torch.tensor([[v]]) for v in (-0.25, 3.0)]
    out, c = tree.step(x, h, torch.tensor([[0.75]]))
    a0 = max(0.0, math.tanh(0.5 - 0.25) + 0.75)  # steps 1 and 3
    a1 = max(0.0, 2.0 * 3.0)  # step 2
    assert c.item() == pytest.approx(6.0)  # step 5: W3 x * W4 h, before the ReLU
    assert out.item() == pytest.approx(1 / (1 + math.exp(-a0 * a1)))  # step 4


def nas_cell(x: Tensor, h: Tensor, c: Tensor, w: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """TensorFlow's NASCell, as papers.md writes its equations."""
    i, m = (x @ w).chunk(8, 1), (h @ u).chunk(8, 1)
    sig, relu, tanh = torch.sigmoid, torch.relu, torch.tanh
    l1 = [
        sig(i[0] + m[0]),
        relu(i[1] + m[1]),
        sig(i[2] + m[2]),
        relu(i[3] * m[3]),
        tanh(i[4] + m[4]),
        sig(i[5] + m[5]),
        tanh(i[6] + m[6]),
        sig(i[7] + m[7]),
    ]
    l2 = [tanh(l1[0] * l1[1]), tanh(l1[2] + l1[3]), tanh(l1[4] * l1[5]), sig(l1[6] + l1[7])]
    l2[0] = tanh(l2[0] + c)
    new_c = l2[0] * l2[1]
    return tanh(new_c * tanh(l2[2] + l2[3])), new_c


@given(st.integers(0, 2**32))
def test_the_published_cell_is_tensorflows_nascell(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    space = NasRecurrent()
    cell = TreeCell(space.tree(space.from_tokens(NAS_CELL)), 6, 5).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(generator=generator)
        x = torch.randn(3, 2, 6, generator=generator, dtype=torch.float64)
        h, c = torch.randn(2, 2, 5, generator=generator, dtype=torch.float64).unbind(0)
        outputs, (last, memory) = cell(x, (h, c))
        for step in range(3):
            h, c = nas_cell(x[step], h, c, cell.input, cell.hidden)
            torch.testing.assert_close(outputs[step], h)
    torch.testing.assert_close(last, h)
    torch.testing.assert_close(memory, c)


def test_injection_may_reach_the_root_and_the_same_node_may_be_both() -> None:
    tree = Tree((Node("add", "identity"),) * 3, Node("elem_mult", "identity"), first=2, second=2)
    one = torch.ones(1, 1)
    h, c = tree.step([one, one], [one, one], 5 * one)
    assert c.item() == 4.0  # before activation and injection
    assert h.item() == 20.0


# Language models


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 12), st.integers(0, 2**32), st.integers(1, 3), st.booleans())
def test_every_cell_trains_a_step_and_has_the_size_of_a_count_by_hand(
    base: int, seed: int, layers: int, tied: bool
) -> None:
    torch.manual_seed(0)
    space = NasRecurrent(base=base, units=7, layers=layers, tied=tied, recurrent_dropout=0.3, embedding_dropout=0.2)
    network = model(space, seed)
    tokens = torch.randint(0, 30, (4, 3))
    logits, states = network(tokens, network.start(3))
    assert logits.shape == (4, 3, 30)
    assert [[part.shape for part in state] for state in states] == [[(3, 7), (3, 7)]] * layers
    logits.sum().backward()  # type: ignore[no-untyped-call]
    by_hand = 30 * 7 * (1 if tied else 2) + 30 + layers * 2 * base * 7 * 7
    assert sum(parameter.numel() for parameter in network.parameters()) == by_hand


@given(st.integers(0, 2**32))
def test_states_carry_a_sequence_on(seed: int) -> None:
    network = model(NasRecurrent(base=3, units=5), seed).eval()
    tokens = torch.randint(0, 30, (6, 2), generator=torch.Generator().manual_seed(seed))
    whole, _ = network(tokens, network.start(2))
    first, states = network(tokens[:4], network.start(2))
    second, _ = network(tokens[4:], states)
    torch.testing.assert_close(torch.cat([first, second]), whole)


@given(st.integers(2000, 10**7), st.integers(2, 100), st.integers(1, 3), st.integers(1, 24), st.booleans())
def test_units_fill_a_budget_of_parameters(budget: int, words: int, layers: int, per_layer: int, tied: bool) -> None:
    units = units_within(budget, words, layers, per_layer, 8, tied=tied)

    def size(u: int) -> int:
        return layers * (per_layer * u * u + 8 * u) + words * u * (1 if tied else 2) + words

    assert size(units) <= budget < size(units + 1)


def test_the_reference_lstm_has_about_as_many_parameters() -> None:
    space = NasRecurrent(parameters=200_000)
    ours, lstm = model(space), space.reference(TASK)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (ours, lstm)]
    assert max(sizes) <= 200_000
    assert min(sizes) > 0.97 * 200_000


def test_the_reference_lstm_has_the_same_recurrent_dropout() -> None:
    torch.manual_seed(0)
    cell = LstmCell(3, 4)
    x, state = torch.randn(5, 2, 3), (torch.randn(2, 4), torch.randn(2, 4))
    plain, (h, c) = cell(x, state)
    kept, (same_h, same_c) = cell(x, state, torch.ones(2, 4))
    torch.testing.assert_close((kept, same_h, same_c), (plain, h, c))
    alone, _ = cell(x[:1], (torch.zeros(2, 4), state[1]))
    dropped, _ = cell(x[:1], state, torch.zeros(2, 4))  # h is not read at all
    torch.testing.assert_close(dropped, alone)
    lstm = NasRecurrent(units=8, recurrent_dropout=0.5, input_dropout=0.0, output_dropout=0.0).reference(TASK).train()
    first, second = (lstm(torch.zeros(3, 2, dtype=torch.int64), lstm.start(2))[0] for _ in range(2))
    assert not torch.equal(first, second)


def test_too_few_parameters_for_the_vocabulary_are_an_error() -> None:
    with pytest.raises(SpaceError, match="too few"):
        NasRecurrent(parameters=1000).reference(TextTask(10_000))


@pytest.mark.parametrize("change", [{"base": 1}, {"base": 13}, {"layers": 0}, {"output_dropout": 1.0}])
def test_wrong_fields_are_named(change: dict[str, float]) -> None:
    with pytest.raises(SpaceError, match=next(iter(change))):
        NasRecurrent(**change)  # type: ignore[arg-type]


def test_a_wrong_number_of_tokens_is_an_error() -> None:
    with pytest.raises(SpaceError, match="34 tokens"):
        NasRecurrent().from_tokens(NAS_CELL[:-1])


def test_it_can_be_drawn() -> None:
    space = NasRecurrent()
    (graph,) = space.graphs(space.from_tokens(NAS_CELL))
    assert {"x", "h", "c", "inject", "h[t]", "c[t]"} <= {node.name for node in graph.nodes}


class Products(TorchDispatchMode):
    """Counts matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm)
        return func(*args, **(kwargs or {}))


def test_all_leaves_are_one_product_with_x_for_the_sequence_and_one_with_h_a_step() -> None:
    space = NasRecurrent()
    cell = TreeCell(space.tree(space.from_tokens(NAS_CELL)), 6, 5)
    x, state = torch.randn(7, 2, 6), (torch.zeros(2, 5), torch.zeros(2, 5))
    with Products() as forward:
        outputs, _ = cell(x, state)
    assert forward.count == 1 + 7
    with Products() as backward:
        outputs.sum().backward()  # type: ignore[no-untyped-call]
    assert backward.count == 6 + 7 + 1  # h of every step but the first, its matrix in every step, the input matrix
