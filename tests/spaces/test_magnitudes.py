"""Numbers known before training are those of the networks that are built."""

from __future__ import annotations

import math

import pytest

from archwright.space import Open, Space, Task, replay, sample
from archwright.spaces import Darts, EnasMicro, NasBench201
from archwright.spaces.magnitudes import live, magnitude
from archwright.spaces.nas_bench_201 import NAMES
from archwright.training.measure import parameters

SMALL = Task(channels=3, height=8, width=8, classes=2)


def test_networks_of_nas_bench_201_differ_in_weights_as_their_magnitudes_do() -> None:
    """One cell in each of three stages: a weight of the first is four of the second and sixteen of the third."""
    space = NasBench201(repeats=1, filters=4)
    some = [sample(space, seed) for seed in range(6)]
    built = [parameters(space.network(Open.only(space, one), SMALL)) for one in some]
    said = [2 ** space.magnitudes(one)["weights"] for one in some]
    assert len(set(built)) > 3
    assert [count - built[0] for count in built] == pytest.approx([21 * (count - said[0]) for count in said])


@pytest.mark.parametrize(
    ("space", "light", "heavy"),
    [
        (EnasMicro(repeats=1, filters=4), "identity", "sep_3x3"),
        (Darts(repeats=1, filters=4), "skip_connect", "sep_conv_3x3"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_cell_of_convolutions_is_heavier_and_deeper_than_one_of_identities(
    space: Space, light: str, heavy: str
) -> None:
    answers = dict(sample(space, 1).answers)
    normal = [name for name in answers if name.startswith("normal") and name.endswith("/op")]
    less, more = (replay(space, answers | dict.fromkeys(normal, operation)) for operation in (light, heavy))
    small, large = (space.magnitudes(one) for one in (less, more))
    assert (small["normal weights"], small["normal deep"], small["normal least"]) == (0, 0, 0)
    assert large["normal least"] >= 1
    assert small["reduction weights"] == large["reduction weights"]
    one, other = (parameters(space.network(Open.only(space, each), SMALL)) for each in (less, more))
    assert other - one >= 2 ** large["normal weights"] - 1


@pytest.mark.parametrize("space", [NasBench201(), EnasMicro(), Darts()], ids=lambda s: s.name)
def test_all_architectures_have_the_same_finite_numbers(space: Space) -> None:
    found = [space.magnitudes(sample(space, seed)) for seed in range(60)]
    assert len({tuple(one) for one in found}) == 1
    assert all(math.isfinite(number) for one in found for number in one.values())


def test_what_no_way_uses_is_not_live() -> None:
    space = NasBench201(filters=4)
    cut = ["nor_conv_3x3", "none", "none", "nor_conv_1x1", "none", "nor_conv_3x3"]  # only 3<-0 reaches the output
    numbers = space.magnitudes(replay(space, dict(zip(NAMES, cut, strict=True))))
    assert numbers["live weights"] == magnitude(4 * 4)
    assert numbers["weights"] == magnitude(4 * 4 * (1 + 9 + 9))
    assert (numbers["through"], numbers["deep"], numbers["least"]) == (1.0, 1.0, 1.0)
    nothing = space.magnitudes(replay(space, dict.fromkeys(NAMES, "none")))
    assert (nothing["through"], nothing["live weights"]) == (0.0, 0.0)
    assert live([(0, 1, "a"), (1, 2, "none"), (0, 2, "b")], 0, 2) == [(0, 2, "b")]
