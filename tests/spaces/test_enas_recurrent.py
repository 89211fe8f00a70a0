"""ENAS's recurrent space: its size, its published cells, its mathematics, and one build path."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archwright.errors import SpaceError
from archwright.nets.language import LanguageModel
from archwright.nets.recurrence import Chain, activate, loose_ends
from archwright.nets.recurrent import EPSILON, HighwayCell
from archwright.space import Open, TextTask, count, sample
from archwright.spaces.enas_recurrent import ENAS_CELL_12, ENAS_CELL_LM, EnasRecurrent

TASK = TextTask(vocabulary=30)
SMALL = EnasRecurrent(nodes=4, units=6, embedding_dropout=0.1)


def built(space: EnasRecurrent, open: Open) -> LanguageModel:
    torch.manual_seed(0)
    network = space.network(open, TASK)
    assert isinstance(network, LanguageModel)
    return network


def trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# Published figures


def test_the_space_has_the_published_size_but_for_the_input_that_node_1_has_not() -> None:
    published = 4**12 * 479_001_600  # 4^N * N!, papers.md C1: 8.0e15
    assert count(EnasRecurrent()) * 12 == published


def test_the_official_cell_means_what_its_string_says() -> None:
    chain = EnasRecurrent().chain(EnasRecurrent().from_tokens(ENAS_CELL_12))
    names = "tanh tanh relu relu tanh tanh relu tanh relu relu relu relu"  # papers.md C5, nodes 0 to 11
    assert chain.activations == tuple(names.split())
    assert chain.sources == tuple(source + 1 for source in (0, 1, 2, 2, 2, 5, 1, 6, 8, 8, 8))
    assert chain.averaged == tuple(node + 1 for node in (3, 4, 7, 9, 10, 11))


def test_the_cell_of_enas_lm_starts_with_tanh_and_averages_all_others() -> None:
    space = EnasRecurrent(nodes=9, averaged="all", units=5)
    architecture = space.from_pairs(ENAS_CELL_LM)
    chain = space.chain(architecture)
    names = "tanh sigmoid tanh relu sigmoid tanh tanh sigmoid sigmoid"
    assert chain.activations == tuple(names.split())
    assert chain.sources == (1, 2, 3, 3, 5, 6, 4, 7)
    assert chain.averaged == tuple(range(2, 10))
    assert trainable(built(space, Open.only(space, architecture))) == 30 * 5 + 30 + 2 * (9 + 1) * 5 * 5


@pytest.mark.parametrize("text", ["0 0", "0 0 x", "0 0 -1", "9 0 0", "0 1 0", ""])
def test_a_bad_string_is_refused(text: str) -> None:
    with pytest.raises(SpaceError):
        EnasRecurrent(nodes=2).from_tokens(text)


# Mathematics


def plain(chain: Chain, cell: HighwayCell, x: Tensor, h: Tensor) -> Tensor:
    """Section 2.1 of the paper, with highways, one step after the other."""
    outputs = []
    units = cell.units

    def node(made: Tensor, before: Tensor, activation: str) -> Tensor:
        gate = torch.sigmoid(made[:, :units])
        return gate * activate(activation, made[:, units:]) + (1 - gate) * before

    for step in x:
        nodes = {1: node(step @ cell.input + h @ cell.hidden, h, chain.activations[0])}
        for number, source in enumerate(chain.sources, start=2):
            made = nodes[source] @ cell.weights[f"{number}_{source}"]
            nodes[number] = node(made, nodes[source], chain.activations[number - 1])
        h = sum(nodes[number] for number in chain.averaged) / len(chain.averaged)  # type: ignore[assignment]
        if cell.normalised:
            h = (h - h.mean(0)) / (h.var(0, correction=0) + EPSILON).sqrt()
        outputs.append(h)
    return torch.stack(outputs)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.integers(0, 2**32), st.booleans())
def test_a_cell_is_the_papers_equations(nodes: int, seed: int, normalised: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    space = EnasRecurrent(nodes=nodes)
    chain = space.chain(sample(space, seed))
    pairs = list(enumerate(chain.sources, start=2))
    cell = HighwayCell(pairs, chain, space.chain, 5, 4, normalised=normalised).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(generator=generator)
        x = torch.randn(3, 6, 5, generator=generator, dtype=torch.float64)
        h = torch.randn(6, 4, generator=generator, dtype=torch.float64)
        outputs, (last,) = cell(x, (h,))
        torch.testing.assert_close(outputs, plain(chain, cell, x, h))
    assert torch.equal(last, outputs[-1])


def test_loose_ends_are_the_nodes_that_nobody_reads() -> None:
    assert loose_ends((1, 1, 2)) == (3, 4)
    assert loose_ends(()) == (1,)


# One build path


def test_the_reference_has_as_many_parameters_as_a_child() -> None:
    for space in (EnasRecurrent(units=40), EnasRecurrent(units=None, parameters=50_000, tied=False, layers=2)):
        child = trainable(built(space, Open.only(space, sample(space, 0))))
        reference = trainable(space.reference(TASK))
        assert child * 0.93 < reference <= child


def test_shared_weights_need_an_architecture() -> None:
    shared = built(SMALL, Open.all(SMALL))
    with pytest.raises(SpaceError, match="needs an architecture"):
        shared(torch.zeros(2, 1, dtype=torch.int64), shared.start(1))
