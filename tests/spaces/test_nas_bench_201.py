"""The cell of NAS-Bench-201: its size, its arch strings, its paths."""

from __future__ import annotations

import pytest
import torch

from archwright.errors import SpaceError
from archwright.space import Open, Task, count, enumerate_space, sample
from archwright.spaces.nas_bench_201 import NAMES, OPERATIONS, NasBench201
from archwright.spaces.paths import paths

# Index 0 of the official benchmark file.
FIRST = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


def test_has_the_published_size() -> None:
    assert count(NasBench201()) == 15_625  # Dong & Yang 2020, section 2.1


def test_arch_strings_are_read_and_written() -> None:
    space = NasBench201()
    architecture = space.from_arch(FIRST)
    assert dict(architecture.answers) == {
        "1<-0": "avg_pool_3x3",
        "2<-0": "nor_conv_1x1",
        "2<-1": "skip_connect",
        "3<-0": "nor_conv_1x1",
        "3<-1": "skip_connect",
        "3<-2": "skip_connect",
    }
    for each in [architecture, *(sample(space, seed) for seed in range(20))]:
        assert space.from_arch(space.to_arch(each)) == each
    assert space.to_arch(architecture) == FIRST


@pytest.mark.parametrize("text", ["", "|none~0|", FIRST.replace("~1", "~2"), FIRST.replace("avg_pool", "max_pool")])
def test_what_is_no_arch_string_is_said(text: str) -> None:
    with pytest.raises(SpaceError, match=r"arch string|not an option"):
        NasBench201().from_arch(text)


def test_paths_are_counted_without_identities_and_cut_by_none() -> None:
    edges = [(1, [(0, "conv")]), (2, [(0, "none"), (1, "identity")]), (3, [(1, "pool"), (2, "pool"), (0, "identity")])]
    assert paths([0], edges, [3]) == {("conv", "pool"): 2, (): 1}
    two_inputs = [(2, [(0, "conv"), (1, "conv")]), (3, [(2, "identity"), (2, "conv")])]
    assert paths([0, 1], two_inputs, [3]) == {
        ("0", "conv"): 1,
        ("1", "conv"): 1,
        ("0", "conv", "conv"): 1,
        ("1", "conv", "conv"): 1,
    }


def test_paths_tell_fewer_cells_apart_than_graphs_do() -> None:
    """Dong & Yang 2020, section 2.1: 6,466 cells differ as graphs. By the paths from the input to the output there are
    fewer, because convolutions of one sum, or of a sum's parts, have the same paths."""
    space = NasBench201()
    different = {frozenset(space.features(a)["paths"].items()) for a in enumerate_space(space)}
    assert len(different) == 4_120 < 6_466


# In millions, from the official benchmark file (CIFAR-10; the classifier included).
PUBLISHED = {
    FIRST: 0.129306,  # index 0
    "|nor_conv_3x3~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|nor_conv_3x3~1|none~2|": 0.559386,  # 258
    "|none~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|": 0.587386,  # 42
    "|skip_connect~0|+|avg_pool_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|skip_connect~2|": 0.073306,  # 345
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|nor_conv_3x3~0|nor_conv_1x1~1|nor_conv_1x1~2|": 0.858426,  # 8212
}


@pytest.mark.parametrize("text", PUBLISHED)
def test_the_network_has_the_published_number_of_parameters(text: str) -> None:
    space = NasBench201().final()
    network = space.network(Open.only(space, space.from_arch(text)), Task(3, 32, 32, 10))
    assert sum(parameter.numel() for parameter in network.parameters()) == round(PUBLISHED[text] * 1e6)


def test_a_mixture_weighs_five_operations_on_each_edge() -> None:
    space = NasBench201(repeats=1, filters=4)
    assert space.mixes
    assert space.mixture == dict.fromkeys(NAMES, OPERATIONS)
    soft = {name: [0.1, 0.2, 0.3, 0.3, 0.1] for name in NAMES}  # of equal ones the first
    assert {answer for _, answer in space.discrete(soft).answers} == {"nor_conv_1x1"}
    with pytest.raises(SpaceError, match="needs an architecture to run"):
        space.network(Open.all(space), Task(1, 8, 8, 3))(torch.zeros(2, 1, 8, 8))
    with pytest.raises(SpaceError, match="a divisor of filters, 6"):
        NasBench201(filters=6, partial=4)
