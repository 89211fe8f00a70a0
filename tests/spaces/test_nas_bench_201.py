"""The cell of NAS-Bench-201: its size, its arch strings, its paths."""

from __future__ import annotations

import pytest

from archwright.errors import SpaceError
from archwright.space import count, enumerate_space, sample
from archwright.spaces.nas_bench_201 import NasBench201
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
