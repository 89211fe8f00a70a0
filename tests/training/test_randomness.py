from __future__ import annotations

import pytest
import torch

from archwright.training.randomness import Stream, seeded, stream

CPU = torch.device("cpu")


def drawn(purpose: Stream, seed: int, position: int) -> list[float]:
    with seeded(CPU, purpose, seed, position):
        return torch.rand(4).tolist()


def test_a_block_draws_by_its_place_and_leaves_the_outside_alone():
    torch.manual_seed(5)
    undisturbed = torch.rand(2)
    torch.manual_seed(5)
    first = torch.rand(1)
    inside = drawn(Stream.NOISE, 1, 7)
    with pytest.raises(ZeroDivisionError), seeded(CPU, Stream.NOISE, 1, 7):
        _ = 1 / 0
    assert torch.equal(torch.cat([first, torch.rand(1)]), undisturbed)
    assert inside == drawn(Stream.NOISE, 1, 7)


def test_purposes_seeds_and_places_have_streams_of_their_own():
    numbers = {
        stream(purpose, seed, position).integers(2**63)
        for purpose in Stream
        for seed in range(4)
        for position in range(4)
    }
    assert len(numbers) == len(Stream) * 16
