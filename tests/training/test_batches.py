from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archwright.data.images import ImagePart
from archwright.errors import ConfigError
from archwright.training.batches import Batches, split
from archwright.training.recipe import Recipe
from small_images import image_data

PLAIN = Recipe(batch=8, pad=0, flip=False)


def batches(recipe=PLAIN, data=None, seed=0):
    data = data if data is not None else image_data()
    return Batches(data.train, data.preprocessing, recipe, seed=seed, device=torch.device("cpu"), channels_last=True)


@given(count=st.integers(2, 300), batch=st.integers(2, 50))
def test_pieces_cover_everything_once_and_none_is_a_single_image(count, batch):
    pieces = split(count, batch)
    assert [i for piece in pieces for i in range(piece.start, piece.stop)] == list(range(count))
    sizes = [piece.stop - piece.start for piece in pieces]
    assert min(sizes) >= 2
    assert max(sizes) <= batch + 1


def test_an_epoch_shows_every_image_once_and_each_epoch_in_another_order():
    data = image_data()
    numbered = replace(data, train=ImagePart(data.train.x, torch.arange(25)))
    steps = batches(data=numbered)
    epochs = [torch.cat([steps[e * steps.per_epoch + s][1] for s in range(steps.per_epoch)]) for e in range(3)]
    assert all(sorted(epoch.tolist()) == list(range(25)) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 3
    x, labels = steps[1]
    assert torch.allclose(x, data.preprocessing(data.train.x[labels]))


def test_a_batch_depends_on_the_step_and_the_seed_alone():
    recipe = Recipe(batch=8, cutout=3)
    one, other = batches(recipe), batches(recipe)
    forwards = [one[step] for step in range(6)]
    backwards = [other[step] for step in reversed(range(6))][::-1]
    assert all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(forwards, backwards, strict=True))
    assert not torch.equal(batches(recipe, seed=1)[0][1], forwards[0][1])


def test_padding_has_the_mean_colour():
    data = image_data()
    bright = replace(data, train=ImagePart(torch.full_like(data.train.x, 255), data.train.y))
    x, _ = batches(Recipe(batch=8, pad=4, flip=False), bright)[0]
    normal = data.preprocessing(bright.train.x[:1]).unique()
    assert set(x.unique().tolist()) == {0.0, *normal.tolist()}


def test_one_image_is_too_few_to_train_on():
    with pytest.raises(ConfigError, match="1 training images"):
        batches(data=image_data(train=1))


@pytest.mark.parametrize("count", [10, 99])
def test_plain_images_are_the_first_of_the_order_as_validation_sees_them(count):
    data = image_data()
    numbered = replace(data, train=ImagePart(data.train.x, torch.arange(25)))
    one, other = batches(Recipe(batch=8, cutout=3), numbered), batches(Recipe(batch=8, cutout=3), numbered)
    shown = torch.cat([one[step][1] for step in range(one.per_epoch)])[:count]
    other[one.per_epoch]  # another epoch's order in between changes nothing
    assert torch.equal(other.plain(count), data.preprocessing(data.train.x[shown]))
