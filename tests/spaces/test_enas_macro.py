"""ENAS's macro space: its published figures, its compact form, what its links mean, and one build path."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from archwright.errors import SpaceError
from archwright.nets.macro import MacroNetwork, still_read
from archwright.space import Open, Task, count, sample
from archwright.spaces.enas_macro import ENAS_MACRO_24, OPERATIONS, EnasMacro, wiring

CIFAR10 = Task(channels=3, height=32, width=32, classes=10)
TASK = Task(channels=2, height=8, width=9, classes=4)
PUBLISHED = EnasMacro(layers=24)


def child(space: EnasMacro, text: str, task: Task = CIFAR10) -> MacroNetwork:
    network = space.network(Open.only(space, space.from_compact(text)), task)
    assert isinstance(network, MacroNetwork)
    return network


def trainable(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


# Published figures


def test_the_space_has_the_published_size() -> None:
    assert count(EnasMacro()) == 6**12 * 2**66  # papers.md C1: 1.6e29


def test_the_published_architecture_has_the_official_codes_size_with_its_ordinary_convolutions() -> None:
    """The official fixed layers make ordinary convolutions of the separable ones (C3); the paper says 38.0M."""
    ordinary = ENAS_MACRO_24.replace("1:", "0:").replace("3:", "2:")
    with torch.device("meta"):
        assert trainable(child(PUBLISHED.final(), ordinary)) == 42_559_392


def test_with_separable_convolutions_it_is_smaller_by_what_they_save() -> None:
    saved = 0
    for number, (op, _) in enumerate(wiring(PUBLISHED.from_compact(ENAS_MACRO_24), 24), start=1):
        channels = 96 * 2 ** sum(number > after for after in (8, 16))
        if op.startswith("sep"):
            kernel = int(op[-1])
            saved += kernel**2 * channels**2 - kernel**2 * channels - channels**2
    with torch.device("meta"):
        assert trainable(child(PUBLISHED.final(), ENAS_MACRO_24)) == 42_559_392 - saved == 30_947_424


def test_the_search_network_halves_at_the_thirds_and_keeps_its_channels() -> None:
    assert EnasMacro().halve_after == (4, 8)  # papers.md C3: after layers 3 and 7, counted from 0
    with torch.device("meta"):
        network = EnasMacro().network(Open.all(EnasMacro()), CIFAR10)
    assert isinstance(network, MacroNetwork)
    assert network.classify.in_features == 36
    assert [len(made) for made in network.reductions.values()] == [5, 9]  # the stem and every layer so far


# The compact form, and what links mean


@given(st.integers(0, 2**32), st.integers(1, 13))
@settings(deadline=None, max_examples=40)
def test_an_architecture_round_trips(seed: int, layers: int) -> None:
    space = EnasMacro(layers=layers)
    architecture = sample(space, seed)
    assert space.from_compact(space.to_compact(architecture)) == architecture


def test_the_first_bit_is_the_stem_and_the_layer_before_is_always_read() -> None:
    space = EnasMacro(layers=3)
    read = wiring(space.from_compact("0 | 1:1 | 5:01"), 3)
    assert read == (("conv_3x3", ()), ("sep_3x3", (0,)), ("max_3x3", (1,)))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("0 | 0:0", "as many parts"),
        ("0 | 0 | 0:00", "layer 2 must have 1 bits"),
        ("0 | 0:2 | 0:00", "layer 2 must have 1 bits"),
        ("6 | 0:0 | 0:00", "layer 1: '6' is not an operation; there are 0 to 5"),
        ("x | 0:0 | 0:00", "layer 1: 'x' is not an operation"),
    ],
)
def test_a_bad_compact_form_is_an_error_that_names_its_layer(text: str, wrong: str) -> None:
    with pytest.raises(SpaceError, match=wrong):
        EnasMacro(layers=3).from_compact(text)


def test_only_states_that_are_read_later_are_kept() -> None:
    skips = [(), (0,), (), (1,)]
    assert [still_read(skips, number) for number in (1, 2, 3, 4)] == [[0, 1], [1, 2], [1, 3], [4]]


# One build path


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_keeps_the_size(name: str) -> None:
    space = EnasMacro(layers=2, filters=4, operations=(name,))
    assert child(space, "0 | 0:1", TASK)(torch.randn(2, 2, 8, 9)).shape == (2, 4)


def test_an_architecture_of_the_search_is_one_of_the_final_space() -> None:
    space = EnasMacro(layers=5)
    architecture = sample(space, 3)
    assert architecture == sample(space.final(filters=8), 3)
    network = space.final(filters=8).network(Open.only(space, architecture), TASK)
    assert network.classify.in_features == 32


def test_a_size_below_one_is_refused() -> None:
    with pytest.raises(SpaceError, match="layers is 0; it must be at least 1"):
        replace(EnasMacro(), layers=0)


def test_an_operation_that_nobody_added_is_refused() -> None:
    space = EnasMacro(operations=("conv_3x3", "conv_9x9"))
    with pytest.raises(SpaceError, match=r"'conv_9x9' is not an operation; .*[Tt]here are avg_3x3, .*conv_3x3"):
        space.network(Open.all(space), TASK)
