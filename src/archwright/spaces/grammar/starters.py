"""Networks that people know, as sentences sized to a grammar's images: where a search starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from archwright.sentences.library import parse
from archwright.sentences.sentence import Sentence
from archwright.spaces.settings import nearest

Grammar: TypeAlias = Any  # `archwright.spaces.grammar.space.Grammar`, which imports this file


def _halvings(space: Grammar) -> int:
    """Return how often a network of images halves the map: down to about 4 pixels, 3 times at most."""
    side, times = min(space.height, space.width), 0
    while side >= 8 and times < 3:
        side, times = -(-side // 2), times + 1
    return times


def _stages(space: Grammar, block: str, widths: list[int], before: int) -> str:
    """Write stages of two blocks; the last ones are at half the size of those before, as often as there is room."""
    halvings, parts = _halvings(space), []
    for number, width in enumerate(widths):
        stride = 2 if number >= max(1, len(widths) - halvings) else 1
        first = "same" if (width, stride) == (before, 1) else f"{width}, {stride}"
        parts.append(f"sequential({block}({first}), {block}(same))")
        before = width
    return ", ".join(parts)


def _resnet18(space: Grammar, wide: Callable[[float], int]) -> str:
    widths = [wide(width) for width in (64, 128, 256, 512)]
    return f"sequential(conv3x3({widths[0]}), norm, relu, {_stages(space, 'basic', widths, widths[0])})"


def _wrn(space: Grammar, wide: Callable[[float], int]) -> str:
    stages = _stages(space, "preactivated", [wide(width) for width in (64, 128, 256)], wide(16))
    return f"sequential(conv3x3({wide(16)}), {stages}, norm, relu)"


def _patches(space: Grammar) -> int:
    """Return the side of patches of which an image has about 64."""
    sides = [int(enter[7 : enter.index(",")]) for enter in space.enters if enter.startswith("im2col")]
    square = [side for side in sides if f"im2col({side}, {side})" in space.enters]
    return int(nearest(square or [1], min(space.height, space.width) / 8))


def _vit(space: Grammar, wide: Callable[[float], int]) -> str:
    side = _patches(space)
    body = f"sequential(linear({wide(192)}), position, repeat(6, encoder(4)), norm)"
    return f"routing(im2col({side}, {side}), {body}, identity)"


def _mixer(space: Grammar, wide: Callable[[float], int]) -> str:
    side = _patches(space)
    return f"routing(im2col({side}, {side}), sequential(linear({wide(192)}), repeat(6, mixer), norm), identity)"


# Known networks, of a space's images and of a function from a published width to one of the space's.
STARTERS: dict[str, Callable[[Any, Callable[[float], int]], str]] = {
    "resnet18": _resnet18,
    "wrn": _wrn,
    "vit": _vit,
    "mlp-mixer": _mixer,
}
PAPERS = {
    "resnet18": "He et al. 2016, ResNet-18, its first convolution 3x3 as for small images",
    "wrn": "Zagoruyko & Komodakis 2016, WRN-16-4",
    "vit": "Dosovitskiy et al. 2021, six blocks of four heads",
    "mlp-mixer": "Tolstikhin et al. 2021, six blocks",
}


def starter(name: str, space: Grammar, size: float) -> Sentence:
    """Return a known network for the space's images, `size` times as wide as published."""
    return parse(STARTERS[name](space, lambda width: int(nearest(space.widths, size * width))))
