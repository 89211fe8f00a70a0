"""The laws of every space, for those that come along and for the small ones of the tests."""

from __future__ import annotations

from itertools import product

import pytest

from archwright.space import Space
from archwright.spaces import (
    SPACES,
    Darts,
    DartsRecurrent,
    EnasMacro,
    EnasMicro,
    EnasRecurrent,
    NasBench201,
    NasConv,
    NasNet,
    NasRecurrent,
    Recurrent,
    Stages,
)
from archwright.testing import SpaceContract, TextSpaceContract
from archwright.testing.small_spaces import SMALL

STATISTICS = ("batch", "running")
IMAGES = [
    *SMALL,
    NasBench201(repeats=1, filters=4),
    NasBench201(repeats=2, filters=4, partial=2, affine=True, stem_stride=2),
    NasBench201(repeats=1, filters=4).final(),
    *(
        EnasMicro(nodes=2, repeats=1, filters=4, dropout=0.0, reduction=reduction, base=base, statistics=statistics)
        for reduction, base, statistics in product(("before", "strided"), (False, True), STATISTICS)
    ),
    EnasMicro(nodes=3, repeats=1, filters=4, dropout=0.5, drop_path_keep=0.5),
    *(
        EnasMacro(layers=layers, filters=4, double=double, statistics=statistics)
        for layers, double, statistics in product((1, 4, 7), (False, True), STATISTICS)
    ),
    NasConv(layers=4, filter_counts=(2, 3), strides=(1, 2), learning_rates=(0.1, 0.01)),
    NasNet(filters=4, repeats=1),
    Darts(nodes=2, repeats=1, filters=4),
    Darts(nodes=3, repeats=1, filters=4, affine=True, statistics="running", auxiliary=True, dropout=0.3),
    Darts(nodes=2, repeats=1, filters=8, partial=4, stem="imagenet", drop_path_keep=0.5),
    Stages(widths=(4, 8), most_stages=3),
    Stages(
        widths=(4, 8),
        most_stages=2,
        training=False,
        stem_stride=2,
        whiten=True,
        zero_init=True,
        dropout=0.1,
        mirror=True,
    ),
    Stages(
        **{
            "widths": (4,),
            "kinds": ("plain",),
            "blocks": (1, 2),
            "halvings": ("none",),
            "kernels": (3,),
            "most_stages": 3,
        },
        **{"excitations": (True,), "activations": ("relu",), "orders": ("inside",), "training": False},
    ),
]
TEXT = [
    *(
        EnasRecurrent(nodes=4, units=6, embedding_dropout=0.1, normalised=normalised, layers=layers)
        for normalised, layers in product((True, False), (1, 2))
    ),
    EnasRecurrent(nodes=4, units=6, apart=True),
    *(DartsRecurrent(nodes=3, units=6, normalised=normalised) for normalised in (True, False)),
    NasRecurrent(),
    Recurrent(widths=(4, 6), base=3),
    Recurrent(cells=("gru",), widths=(4,), training=False),
]


class Made:
    @pytest.fixture(autouse=True)
    def _given(self, made: Space) -> None:
        self.made = made

    def make(self) -> Space:
        return type(self.made)(**vars(self.made))


@pytest.mark.parametrize("made", IMAGES, ids=lambda space: space.name)
class TestSpace(Made, SpaceContract):
    pass


@pytest.mark.parametrize("made", TEXT, ids=lambda space: space.name)
class TestTextSpace(Made, TextSpaceContract):
    pass


@pytest.mark.parametrize("made", [space() for space in SPACES.values()], ids=SPACES)
class TestDefaults(Made, SpaceContract):
    """Programs at their full size; networks are built small, above."""

    test_every_child_trains_a_step = None
    test_a_child_is_its_supernet_with_the_rest_taken_away = None
    test_a_mixture_under_weights_of_one_is_the_child = None


def test_every_registered_space_is_built_small() -> None:
    networks = {name for name, space in SPACES.items() if space.data in ("images", "text")}
    assert networks <= {space.name for space in (*IMAGES, *TEXT)} | {"grammar"}  # in test_grammar.py
