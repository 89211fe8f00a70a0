"""DARTS's recurrent space: published sizes and cells, its mathematics, and what soft weights stand for."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from archwright.errors import SpaceError
from archwright.export.cells import cell_source
from archwright.nets.language import LanguageModel
from archwright.nets.node_cell import NodeCell
from archwright.space import Open, TextTask, count, sample
from archwright.spaces.darts_recurrent import ACTIVATIONS, DartsRecurrent
from archwright.spaces.published import DARTS_RECURRENT_V1, DARTS_RECURRENT_V2, PUBLISHED

SMALL = DartsRecurrent(nodes=3, units=4)
TASK = TextTask(vocabulary=11)


def cell_of(space: DartsRecurrent, open: Open) -> NodeCell:
    network = space.network(open, TASK)
    assert isinstance(network, LanguageModel)
    (cell,) = network.cells
    assert isinstance(cell, NodeCell)
    return cell


@pytest.mark.parametrize("name", ["darts-recurrent-v1", "darts-recurrent-v2"])
def test_published_models_have_the_size_of_the_official_code(name: str) -> None:
    published = PUBLISHED[name]
    with torch.device("meta"):
        network = published.space.network(Open.only(published.space, published.architecture), published.task)
    assert sum(parameter.numel() for parameter in network.parameters()) == 22_960_000  # papers.md D3b


def test_published_genotypes_are_read_and_written() -> None:
    space = DartsRecurrent()
    for name, genotype in (("darts-recurrent-v1", DARTS_RECURRENT_V1), ("darts-recurrent-v2", DARTS_RECURRENT_V2)):
        assert space.to_genotype(PUBLISHED[name].architecture) == genotype
    (graph,) = space.graphs(PUBLISHED["darts-recurrent-v2"].architecture)
    assert [edge.source for edge in graph.into("6")] == ["5"]
    assert [edge.source for edge in graph.into("output")] == [str(node) for node in range(1, 9)]
    assert [PUBLISHED[f"darts-recurrent-v{n}"].architecture.id for n in (1, 2)] == ["7573d5d7c511", "befe17abadf4"]


def test_the_space_has_the_size_that_the_paper_counts() -> None:
    assert count(DartsRecurrent()) == 40_320 * 4**8  # 8! inputs; the paper: about 10^9 cells
    assert len(DartsRecurrent().mixture) == 36


@pytest.mark.parametrize("genes", [[("tanh", 0)], [("tanh", 0)] * 2 + [("tanh", 3)], [("none", 0)] * 3])
def test_a_bad_genotype_is_refused(genes: list[tuple[str, int]]) -> None:
    with pytest.raises(SpaceError):
        SMALL.from_genotype(genes)


def official(cell: NodeCell, x: Tensor, h: Tensor, mask: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """rnn/model_search.py: every node sums its weighted inputs. BatchNorm is one module without scale."""
    units, outputs = cell.units, []

    def norm(states: Tensor) -> Tensor:
        return functional.batch_norm(states, None, None, training=True) if cell.normalised else states

    for step in x:
        c, value = torch.split(step @ cell.input + (h * mask) @ cell.hidden, units, dim=-1)
        states = norm(h + c.sigmoid() * (value.tanh() - h))[None]
        for node in range(1, len(cell.weights) + 1):
            c, value = torch.split((states * mask) @ cell.weights[str(node)], units, dim=-1)
            summed = torch.zeros_like(h)
            for place, name in enumerate(ACTIVATIONS, start=1):
                activated = value if name == "identity" else getattr(torch, name)(value)
                unweighted = states + c.sigmoid() * (activated - states)
                shares = torch.stack([weights[f"{node}/{source}"][place] for source in range(node)])
                summed = summed + (shares[:, None, None] * unweighted).sum(0)
            states = torch.cat([states, norm(summed)[None]])
        h = states[1:].mean(0)
        outputs.append(h)
    return torch.stack(outputs)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.integers(0, 2**32), st.booleans())
def test_a_mixture_is_the_official_cell(nodes: int, seed: int, normalised: bool) -> None:
    space = DartsRecurrent(nodes=nodes, units=4, normalised=normalised)
    generator = torch.Generator().manual_seed(seed)
    cell = cell_of(space, Open.mixture(space)).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_(generator=generator)
    soft = {name: torch.rand(5, generator=generator, dtype=torch.float64) for name in space.mixture}
    shapes = ((3, 6, 4), (6, 4), (6, 4))
    x, h, mask = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    outputs, (last,) = cell(x, (h,), mask, soft)  # type: ignore[arg-type]
    torch.testing.assert_close(outputs, official(cell, x, h, mask, soft))
    assert torch.equal(last, outputs[-1])


def test_the_strongest_edge_of_a_node_is_kept() -> None:
    soft = {name: [0.2] * 5 for name in SMALL.mixture}
    assert SMALL.to_genotype(SMALL.discrete(soft)) == [("tanh", 0)] * 3
    soft |= {"2/0": [0.9, 0.0, 0.0, 0.1, 0.0], "3/2": [0.5, 0.1, 0.0, 0.1, 0.3]}
    assert SMALL.to_genotype(SMALL.discrete(soft)) == [("tanh", 0), ("tanh", 1), ("identity", 2)]


def test_a_delivered_cell_is_a_chain_that_can_be_written() -> None:
    space = SMALL.final(units=4)
    architecture = sample(space, 0)
    cell = cell_of(space, Open.only(space, architecture)).eval()
    x, h = torch.randn(2, 3, 4), torch.randn(3, 4)
    outputs, _ = cell(x, (h,))
    assert cell.fixed is not None
    for step, output in zip(x, outputs, strict=True):
        h = cell.fixed.step(step @ cell.input + h @ cell.hidden, h, list(cell.weights.values()))
        torch.testing.assert_close(h, output)
    assert "CELL.step(" in cell_source(cell).text
