"""Text small enough to train on in a test."""

from __future__ import annotations

import torch

from archwright.data.text import TextData


def text_data(train: int = 400, validation: int = 120, vocabulary: int = 6) -> TextData:
    """Counting: each token is the one before plus one, but for noise. The test part is on the meta device."""
    generator = torch.Generator().manual_seed(1)

    def part(count: int) -> torch.Tensor:
        tokens = torch.arange(count) % vocabulary
        noise = torch.rand(count, generator=generator) < 0.05
        return torch.where(noise, torch.randint(0, vocabulary, (count,), generator=generator), tokens)

    words = tuple("abcdefghij"[:vocabulary])
    test = torch.empty(50, dtype=torch.int64, device="meta")
    return TextData(part(train), part(validation), test, words, "words", "counting", "made up")
