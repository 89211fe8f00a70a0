from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archwright.training.augmentation import augment, crop, cutout, flip, scaled
from archwright.training.recipe import Recipe

RNG = np.random.default_rng
PLAIN = Recipe(pad=0, flip=False)


def pictures(count=6, channels=2, height=5, width=7, dtype=torch.uint8):
    return (
        torch.arange(1, 1 + count * channels * height * width)
        .remainder(251)
        .view(count, channels, height, width)
        .to(dtype)
    )


@settings(max_examples=20)
@given(pad=st.integers(0, 3), seed=st.integers(0, 99), dtype=st.sampled_from([torch.uint8, torch.float32]))
def test_a_crop_is_a_window_of_the_padded_picture(pad, seed, dtype):
    x = pictures(dtype=dtype)
    offsets = torch.from_numpy(RNG(seed).integers(0, 2 * pad + 1, (len(x), 2)))
    cropped = crop(x, offsets, pad)
    assert cropped.dtype == dtype
    for image, (down, right), result in zip(x, offsets.tolist(), cropped, strict=True):
        padded = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)))
        assert (result.numpy() == padded[:, down : down + 5, right : right + 7]).all()


def test_flipping_twice_gives_the_picture_back_and_once_mirrors_only_the_chosen():
    x, which = pictures(), torch.tensor([True, False, True, False, False, True])
    once = flip(x, which)
    assert torch.equal(flip(once, which), x)
    assert torch.equal(once[1], x[1])
    assert torch.equal(once[0, :, :, 0], x[0, :, :, -1])


@given(down=st.integers(-4, 8), right=st.integers(-4, 8), size=st.integers(1, 6))
def test_cutout_blanks_the_square_as_far_as_it_is_inside_and_nothing_else(down, right, size):
    x = pictures(count=1)
    result = cutout(x, torch.tensor([[down, right]]), size)
    inside = np.zeros((5, 7), dtype=bool)
    inside[max(down, 0) : max(down + size, 0), max(right, 0) : max(right + size, 0)] = True
    assert (result.numpy()[0] == np.where(inside, 0, x.numpy()[0])).all()


def blanked(at: str) -> torch.Tensor:
    recipe = replace(PLAIN, cutout=2, cutout_at=at)
    return torch.stack([(augment(torch.ones(8, 1, 4, 4), recipe, RNG(seed)) == 0).sum((1, 2, 3)) for seed in range(50)])


def test_a_centred_square_is_cut_by_every_edge_and_a_corner_square_by_two():
    # 2x2 on 4x4, centred: the first row and column of centres leave half of it outside. Mean (3.5/4 * 2)^2 = 3.0625.
    # Corner: the last row and column do. The areas are alike, so their places must differ.
    assert set(blanked("centre").unique().tolist()) == set(blanked("corner").unique().tolist()) == {1, 2, 4}

    def touched(at):
        recipe = replace(PLAIN, cutout=2, cutout_at=at)
        return sum((augment(torch.ones(8, 1, 4, 4), recipe, RNG(seed)) == 0).sum((0, 1)) for seed in range(50))

    centre, corner = touched("centre"), touched("corner")
    assert centre[0, 0] > corner[0, 0]
    assert corner[3, 3] > 0


def test_the_same_stream_changes_pictures_the_same_way_and_another_one_otherwise():
    x = pictures(count=20)
    first, again, other = (augment(x, Recipe(cutout=3), RNG(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_switching_one_change_on_leaves_the_others_as_they_were():
    x = pictures(count=20)
    plain, cut = (augment(x, Recipe(pad=2, cutout=cutout), RNG(5)) for cutout in (0, 2))
    assert torch.equal(cut[cut != 0], plain[cut != 0])
    assert (cut != plain).any()


def test_every_offset_and_both_mirrors_occur_about_equally_often():
    x = torch.zeros(4000, 1, 3, 3)
    x[:, 0, 1, 0] = 1  # where this pixel goes says what was done
    places = (augment(x, Recipe(pad=1), RNG(0)) > 0).float().sum((0, 1))
    # Unmirrored it lands in columns -1, 0, 1, mirrored in 1, 2, 3: of 18 equal cases column 1 gets two.
    expected = 4000 / 18 * torch.tensor([[1.0, 2.0, 1.0]] * 3)
    assert ((places - expected).abs() < 5 * expected.sqrt()).all()


def test_nothing_asked_for_is_nothing_done():
    x = pictures()
    assert torch.equal(augment(x, PLAIN, RNG(0)), x)


@given(share=st.floats(0, 1), seed=st.integers(0, 9))
def test_a_share_of_the_augmentation_is_a_smaller_one(share, seed):
    x = pictures(count=20)
    part, whole = Recipe(pad=3, cutout=5, augment=share), Recipe(pad=round(3 * share), cutout=round(5 * share))
    assert torch.equal(augment(x, part, RNG(seed)), augment(x, whole, RNG(seed)))


def test_scaling_keeps_the_mean_colour_and_the_memory_format():
    x = torch.rand(4, 3, 16, 12).contiguous(memory_format=torch.channels_last)
    small = scaled(x, 8, 8)
    assert small.shape == (4, 3, 8, 8)
    assert small.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(small.mean((2, 3)), x.mean((2, 3)), atol=0.05, rtol=0)
    assert scaled(x, 16, 12) is x
