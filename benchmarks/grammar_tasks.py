"""Makes the data sets of grammar.py: sorting images where the usual networks are not made for the task.

    python benchmarks/grammar_tasks.py --to OUT                      # addnist, multnist: from scikit-learn's digits
    python benchmarks/grammar_tasks.py --to OUT --digits MNIST.npz   # from MNIST, in any form that archwright reads
    python benchmarks/grammar_tasks.py --to OUT --cifar DIR/cifar10 --text DIR/ptb            # tile and strings, too
    python benchmarks/grammar_tasks.py --to OUT ... --half           # images of half the side: a quarter of the work

Each is OUT/NAME.npz, which `archwright search --data` reads: training, validation and test part, bytes. The first
three are those of Geada et al. 2024 ("Insights from the Use of Previously Unseen Neural Architecture Search Datasets")
made smaller; the fourth is of the kind of their Language. A part is made of sources of that part alone: no digit, no
photograph and no line of text of one part is in another.

- `addnist`: 3 x 28 x 28, a digit in each channel. The class is their sum less 1; sums are 1 to 20, 20 classes, equally
  frequent.
- `multnist`: the same images, the class is the last digit of their product; 10 classes, equally frequent.
- `tile`: 3 x 64 x 64, four photographs. The class is the number of different things in them less 1; 4 classes, equally
  frequent. In a class photographs are any that give the number.
- `strings`: 1 x 28 x 28, a string of 28 characters; a column is a character, one-hot over a to z, space and others.
  The class is who wrote it: 0 running text, 1 running text with the letters of each word shuffled, 2 running text read
  backwards, 3, 4 and 5 Markov chains that know 1, 2 and 3 characters before, learned from the training text.
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from archwright.data.sources import load

Arrays: TypeAlias = "dict[str, NDArray[Any]]"
Made: TypeAlias = "tuple[NDArray[np.uint8], NDArray[np.int64]]"
Digits: TypeAlias = "Mapping[int, NDArray[np.uint8]]"  # images by their class

PARTS = ("train", "val", "test")
TAKEN = dict(zip(PARTS, ("train", "validation", "test"), strict=True))  # what the loader calls them
SIDE = 28
LETTERS = "abcdefghijklmnopqrstuvwxyz "
WRITERS = ("text", "shuffled", "backwards", "order0", "order1", "order2")
ORDERS = 3  # of chains


def by_class(part: Any, side: int, white: float) -> Digits:
    """The images of a part by their class, of `side` x `side` pixels, as bytes of 0 to 255 for 0 to `white`."""
    x = 255 * part.x.float() / white
    if x.shape[2:] != (side, side):
        x = functional.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 255)
    bytes_, y = x.round().to(torch.uint8).numpy(), part.y.numpy()
    return {label: bytes_[y == label] for label in np.unique(y).tolist()}


def numbers(classes: int, of: Callable[[tuple[int, ...]], int | None]) -> list[list[tuple[int, ...]]]:
    """The triples of digits of each class."""
    found: list[list[tuple[int, ...]]] = [[] for _ in range(classes)]
    for digits in itertools.product(range(10), repeat=3):
        if (label := of(digits)) is not None:
            found[label].append(digits)
    return found


def added(digits: tuple[int, ...]) -> int | None:
    """The class of an image of addnist; None: there is none."""
    return sum(digits) - 1 if 1 <= sum(digits) <= 20 else None


def multiplied(digits: tuple[int, ...]) -> int:
    """The class of an image of multnist."""
    return int(np.prod(digits)) % 10


def in_channels(images: Digits, triples: Sequence[Sequence[tuple[int, ...]]], count: int, rng: Any) -> Made:
    """Make images with a digit in each of three channels, their classes as frequent as each other."""
    y = rng.permutation(np.arange(count) % len(triples))
    x = np.empty((count, *next(iter(images.values())).shape[-2:], 3), np.uint8)
    for row, label in enumerate(y):
        digits = triples[label][rng.integers(len(triples[label]))]
        for channel, digit in enumerate(digits):
            x[row, :, :, channel] = images[digit][rng.integers(len(images[digit])), 0]
    return x, y


def tiles(images: Digits, count: int, rng: Any) -> Made:
    """Make images of four photographs each: the class is the number of different things, less 1."""
    y = rng.permutation(np.arange(count) % 4)
    side = next(iter(images.values())).shape[-1]
    x = np.empty((count, 2 * side, 2 * side, 3), np.uint8)
    for row, label in enumerate(y):
        things = rng.choice(list(images), int(label) + 1, replace=False)
        shown = rng.permutation([*things, *rng.choice(things, 3 - int(label))])
        for place, thing in enumerate(shown):
            down, right = side * (place // 2), side * (place % 2)
            photograph = images[thing][rng.integers(len(images[thing]))].transpose(1, 2, 0)
            x[row, down : down + side, right : right + side] = photograph
    return x, y


class Chain:
    """Writes characters by how often each followed the last few in a text."""

    def __init__(self, text: str, order: int) -> None:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for place in range(order, len(text)):
            counts[text[place - order : place]][text[place]] += 1
        self._order, self._text = order, text
        self._after = {
            before: (list(found), np.cumsum(list(found.values())) / found.total()) for before, found in counts.items()
        }

    def write(self, length: int, rng: Any) -> str:
        """Write a string; it begins after some characters of the text, which are not in it."""
        place = int(rng.integers(len(self._text) - self._order - 1))
        written = self._text[place : place + self._order]
        for number in rng.random(length):
            before = written[len(written) - self._order :]
            characters, cumulative = self._after.get(before, self._after[self._text[: self._order]])
            written += characters[min(int(np.searchsorted(cumulative, number)), len(characters) - 1)]
        return written[self._order :]


def plain(text: str) -> str:
    """A text as strings have it: letters, single spaces, and a dash for each other character."""
    text = text.lower().replace("<unk>", " ")
    return re.sub(r"\s+", " ", re.sub(r"[^a-z\s]+", "-", text)).strip()


def written(text: str, writer: str, chains: Mapping[str, Chain], rng: Any) -> str:
    """A string by one of the writers."""
    if writer in chains:
        return chains[writer].write(SIDE, rng)
    place = int(rng.integers(len(text) - SIDE))
    taken = text[place : place + SIDE]
    if writer == "backwards":
        return taken[::-1]
    if writer == "shuffled":
        return " ".join("".join(rng.permutation(list(word))) if word else "" for word in taken.split(" "))
    return taken


def strings(text: str, chains: Mapping[str, Chain], count: int, rng: Any) -> Made:
    """Make images of strings: a column is a character."""
    y = rng.permutation(np.arange(count) % len(WRITERS))
    x = np.zeros((count, len(LETTERS) + 1, SIDE, 1), np.uint8)
    for row, label in enumerate(y):
        for column, character in enumerate(written(text, WRITERS[label], chains, rng)):
            x[row, LETTERS.find(character), column, 0] = 255  # others: -1, the last row
    return x, y


def parted(make: Callable[[str, int, Any], Made], counts: Mapping[str, int], seed: Sequence[int]) -> Arrays:
    """The three parts by the names that archwright reads, each from a random stream of its own."""
    arrays: Arrays = {}
    for number, (part, count) in enumerate(counts.items()):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = make(part, count, np.random.default_rng([*seed, number]))
    return arrays


def tasks(
    counts: Mapping[str, int],
    seed: int,
    *,
    digits: str = "digits",
    cifar: str | None = None,
    text: Path | None = None,
    side: int = SIDE,
) -> dict[str, Callable[[], Arrays]]:
    """What makes each task for which there are sources. Digits have `side` x `side` pixels, photographs 8/7 of it."""

    def sources(path: str, side: int) -> dict[str, Digits]:
        data = load(path, seed=seed)
        white = float(data.train.x.max())
        return {part: by_class(data.parts[name], side, white) for part, name in TAKEN.items()}

    def in_three_channels(triples: list[list[tuple[int, ...]]], number: int) -> Arrays:
        images = sources(digits, side)
        return parted(lambda part, count, rng: in_channels(images[part], triples, count, rng), counts, (seed, number))

    def of_photographs() -> Arrays:
        images = sources(str(cifar), side * 8 // 7)
        return parted(lambda part, count, rng: tiles(images[part], count, rng), counts, (seed, 2))

    def of_text() -> Arrays:
        assert text is not None
        names = dict(zip(PARTS, ("train", "valid", "test"), strict=True))
        texts = {part: plain(next(text.glob(f"*{name}*.txt")).read_text()) for part, name in names.items()}
        chains = {f"order{order}": Chain(texts["train"], order) for order in range(ORDERS)}
        return parted(lambda part, count, rng: strings(texts[part], chains, count, rng), counts, (seed, 3))

    made: dict[str, Callable[[], Arrays]] = {
        "addnist": lambda: in_three_channels(numbers(20, added), 0),
        "multnist": lambda: in_three_channels(numbers(10, multiplied), 1),
    }
    if cifar is not None:
        made["tile"] = of_photographs
    if text is not None:
        made["strings"] = of_text
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="the folder for the files")
    parser.add_argument("--digits", default="digits", help="images of the ten digits, as archwright search takes them")
    parser.add_argument("--cifar", help="CIFAR-10, as archwright search takes it")
    parser.add_argument("--text", type=Path, help="a folder of *train*.txt, *valid*.txt and *test*.txt")
    parser.add_argument("--counts", type=int, nargs=3, default=(6000, 1500, 3000), metavar=("TRAIN", "VAL", "TEST"))
    parser.add_argument("--half", action="store_true", help="images of digits and photographs of half the side")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    given.to.mkdir(parents=True, exist_ok=True)
    counts = dict(zip(PARTS, given.counts, strict=True))
    paths = {"digits": given.digits, "cifar": given.cifar, "text": given.text}
    made = tasks(counts, given.seed, **paths, side=SIDE // 2 if given.half else SIDE)
    for name, make in made.items():
        np.savez_compressed(path := given.to / f"{name}.npz", **make())  # type: ignore[arg-type]
        print(path)


if __name__ == "__main__":
    main()
